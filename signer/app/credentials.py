"""Storing credentials and ending them. Nothing in here gives material back."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from serving.faults import Fault, FieldViolation
from serving.names import not_found
from signer.app.context import Actor, Desk, Idempotent
from signer.app.paging import Page, PageRequest
from signer.app.state import SigningState
from signer.domain.bindings import BoundRevision
from signer.domain.credentials import Credential, CredentialState, Scope, scope_violations
from signer.domain.names import Ref, is_project_id, is_resource_id
from signer.domain.ports import Kind, LedgerChange, MaterialFields, Vault
from signer.domain.reasons import Reason

MAX_NAMES_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What StoreCredential carries. ``material`` may be wiped as soon as it was stored."""

    project: str
    credential_id: str
    kind: str
    scope: Scope
    material: MaterialFields = field(repr=False)
    expire_time: datetime | None = None
    idempotent: Idempotent | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CredentialView:
    """A credential beside what depends on it."""

    credential: Credential
    bindings: tuple[str, ...]
    drain_time: datetime | None


class Credentials:
    """The use cases behind the credential RPCs."""

    def __init__(
        self, desk: Desk, state: SigningState, vault: Vault, kinds: Mapping[str, Kind]
    ) -> None:
        self._desk = desk
        self._state = state
        self._vault = vault
        self._kinds = kinds

    async def store(self, actor: Actor, new: NewCredential) -> CredentialView:
        """Seals and stores; CREDENTIAL_ALREADY_EXISTS, REQUEST_ID_REUSED, INVALID_FIELD."""
        kind = self._check(new)
        now = self._desk.clock.now()
        bare = Credential(
            project=new.project,
            credential_id=new.credential_id,
            uid=str(uuid.uuid4()),
            kind=new.kind,
            provider=str(kind.provider),
            principal_hint=kind.principal_hint(new.material),
            state=CredentialState.ENABLED,
            scope=new.scope,
            create_time=now,
            update_time=now,
            expire_time=new.expire_time,
        )
        credential = replace(bare, envelope=await self._vault.seal(bare, new.material))
        request = self._desk.request_key(actor, credential.name, new.idempotent)
        async with self._desk.changing(
            actor, new.project, credential.name, credential.name
        ) as change:
            earlier = await change.earlier(request, now) if request else None
            taken = await change.credential(new.project, new.credential_id)
            if taken is not None and earlier is None:
                raise Fault(
                    Reason.CREDENTIAL_ALREADY_EXISTS,
                    "The credential's name is taken.",
                    {"credential": credential.name},
                )
            if taken is None:
                await change.put_credential(credential)
                if request:
                    await change.remember(request, credential.name, now)
        await self._state.changed()
        return await self.describe(Ref(new.project, new.credential_id))

    async def describe(self, ref: Ref) -> CredentialView:
        """Metadata only. RESOURCE_NOT_FOUND."""
        credential = await self._desk.ledger.credential(ref.project, ref.id)
        if credential is None:
            raise _missing(ref)
        return await self._view(credential)

    async def list(self, project: str, page: PageRequest) -> Page[CredentialView]:
        """By name, destroyed ones included. PAGE_TOKEN_INVALID."""
        rows = await self._desk.ledger.credentials(project, page.cursor(), page.limit() + 1)
        cut = page.page(rows, lambda row: row.credential_id)
        return Page([await self._view(row) for row in cut.items], cut.next_token)

    async def disable(self, actor: Actor, ref: Ref) -> CredentialView:
        """The kill switch: answers once no replica signs with it any more."""
        return await self._end(actor, ref, CredentialState.DISABLED)

    async def enable(self, actor: Actor, ref: Ref) -> CredentialView:
        """Takes :meth:`disable` back."""
        return await self._switch(actor, ref, CredentialState.ENABLED)

    async def destroy(self, actor: Actor, ref: Ref) -> CredentialView:
        """Crypto-shred. CREDENTIAL_IN_USE while a binding signs with it."""
        return await self._end(actor, ref, CredentialState.DESTROYED)

    async def _end(self, actor: Actor, ref: Ref, state: CredentialState) -> CredentialView:
        view = await self._switch(actor, ref, state)
        # Also when another call was first: this one's answer, too, means that it has taken effect.
        await self._desk.wait_out()
        return view

    async def _switch(self, actor: Actor, ref: Ref, state: CredentialState) -> CredentialView:
        """The same state again changes nothing."""
        name = f"projects/{ref.project}/credentials/{ref.id}"
        async with self._desk.changing(actor, ref.project, name, name) as change:
            found = await change.credential(ref.project, ref.id)
            if found is None:
                raise _missing(ref)
            if found.state is not state:
                await self._put(change, found, state)
        await self._state.changed()
        return await self.describe(ref)

    async def _put(self, change: LedgerChange, found: Credential, state: CredentialState) -> None:
        if found.state is CredentialState.DESTROYED:
            raise Fault(
                Reason.CREDENTIAL_DESTROYED,
                "The credential was destroyed; that is final.",
                {"credential": found.name},
            )
        if state is CredentialState.DESTROYED:
            _refuse_in_use(await change.users(found.uid))
            found = replace(found, envelope=None)
        await change.put_credential(replace(found, state=state, update_time=self._desk.clock.now()))

    async def _view(self, credential: Credential) -> CredentialView:
        users = await self._desk.ledger.users(credential.uid)
        drain = None
        if credential.state is not CredentialState.ENABLED or not users:
            drains = [await self._desk.ledger.last_drain(credential.uid)]
            drains += [self._last_end(credential, user) for user in users]
            drain = max((end for end in drains if end is not None), default=None)
        names = tuple(user.binding.name for user in users[:MAX_NAMES_SHOWN])
        return CredentialView(credential, names, drain)

    def _last_end(self, credential: Credential, user: BoundRevision) -> datetime:
        """Until when URLs may work that the binding got before the credential was disabled."""
        bound = timedelta(seconds=self._desk.staleness)
        return credential.update_time + bound + user.binding.max_url_lifetime

    def _check(self, new: NewCredential) -> Kind:
        found = list(scope_violations(new.scope, self._desk.insecure_origins))
        if not is_resource_id(new.credential_id):
            text = "Give 1 to 63 lower-case letters, digits and hyphens, a letter first."
            found.append(FieldViolation("credential_id", text))
        for project in sorted(new.scope.consumer_projects):
            if not is_project_id(project):
                text = "Give project ids, such as 'acme'."
                found.append(FieldViolation("scope.consumer_projects", text))
                break
        kind = self._kinds.get(new.kind)
        if kind is None:
            found.append(FieldViolation("plain", "Give one kind of material."))
            raise _invalid(found)
        for name, problem in kind.validate(new.material):
            found.append(FieldViolation(f"plain.{new.kind}.{name}", problem))
        if new.expire_time is not None and new.expire_time <= self._desk.clock.now():
            found.append(FieldViolation("expire_time", "Give a time in the future."))
        if new.expire_time is None and len(new.material.get("session_token", b"")):
            text = "Say when the session ends: its URLs end with it."
            found.append(FieldViolation("expire_time", text))
        if found:
            raise _invalid(found)
        return kind


def _invalid(found: list[FieldViolation]) -> Fault:
    return Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=found)


def _missing(ref: Ref) -> Fault:
    name = f"projects/{ref.project}/credentials/{ref.id}"
    return not_found(Reason.RESOURCE_NOT_FOUND, name)


def _refuse_in_use(users: list[BoundRevision]) -> None:
    if users:
        names = ",".join(user.binding.name for user in users[:3])
        raise Fault(
            Reason.CREDENTIAL_IN_USE,
            "Bindings sign with the credential; rotate them first.",
            {"bindings": names, "count": str(len(users))},
        )
