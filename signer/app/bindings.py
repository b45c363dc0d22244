"""Joining buckets to credentials, and moving them from one to another."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from serving.faults import Fault, FieldViolation
from serving.names import not_found
from signer.app.compiler import may_use
from signer.app.context import Actor, Desk, Idempotent
from signer.app.paging import Page, PageRequest
from signer.app.state import SigningState
from signer.domain.bindings import (
    MANAGED_ID,
    MAX_HOLDERS,
    Binding,
    BindingClass,
    BoundRevision,
    Revision,
    RevisionState,
    lifetime_violations,
    lifetimes,
    location_violations,
)
from signer.domain.credentials import Credential, CredentialState, Permission
from signer.domain.location import Location
from signer.domain.names import Ref, holder_project, is_resource_id
from signer.domain.ports import LedgerChange
from signer.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class NewBinding:
    """What CreateBinding carries."""

    project: str
    binding_id: str
    binding_class: BindingClass
    permissions: frozenset[Permission]
    credential: Ref
    location: Location
    max_url_lifetime: timedelta | None = None
    stable_window: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """What RotateBinding carries; ``location`` None leaves the objects where they are."""

    binding: Ref
    credential: Ref
    location: Location | None
    etag: str
    idempotent: Idempotent | None = field(default=None, repr=False)


class Bindings:
    """The use cases behind the binding RPCs."""

    def __init__(self, desk: Desk, state: SigningState) -> None:
        self._desk = desk
        self._state = state

    async def create(self, actor: Actor, new: NewBinding) -> BoundRevision:
        """BINDING_ALREADY_EXISTS, SCOPE_EXCEEDED and what a credential may refuse for."""
        lifetime, window = lifetimes(new.max_url_lifetime, new.stable_window)
        found = _new_violations(new) + lifetime_violations(lifetime, window)
        path = "binding.active.location"
        found += location_violations(new.location, path, self._desk.insecure_origins)
        _refuse(found)
        now = self._desk.clock.now()
        binding = Binding(
            project=new.project,
            binding_id=new.binding_id,
            uid=str(uuid.uuid4()),
            binding_class=new.binding_class,
            permissions=new.permissions,
            max_url_lifetime=lifetime,
            stable_window=window,
            active=1,
            holders=(),
            create_time=now,
            update_time=now,
        )
        async with self._desk.changing(
            actor, new.project, binding.name, _credential_name(new.credential)
        ) as change:
            if await change.binding(new.project, new.binding_id) is not None:
                raise Fault(
                    Reason.BINDING_ALREADY_EXISTS,
                    "The binding's name is taken.",
                    {"binding": binding.name},
                )
            credential = await self._usable(change, new.credential, binding, new.location)
            revision = _revision(binding, 1, credential, new.location, 1, now)
            await change.put_binding(binding)
            await change.put_revision(revision)
        await self._state.refresh()
        return BoundRevision(binding, revision)

    async def get(self, ref: Ref) -> BoundRevision:
        """RESOURCE_NOT_FOUND."""
        found = await self._desk.ledger.binding(ref.project, ref.id)
        if found is None:
            raise _missing(ref)
        return found

    async def list(self, project: str, page: PageRequest) -> Page[BoundRevision]:
        """By name. PAGE_TOKEN_INVALID."""
        rows = await self._desk.ledger.bindings(project, page.cursor(), page.limit() + 1)
        return page.page(rows, lambda row: row.binding.binding_id)

    async def revisions(self, ref: Ref, page: PageRequest) -> tuple[Binding, Page[Revision]]:
        """Newest first. RESOURCE_NOT_FOUND, PAGE_TOKEN_INVALID."""
        binding = (await self.get(ref)).binding
        before = int(page.cursor() or binding.active + 1)
        rows = await self._desk.ledger.revisions(binding.uid, before, page.limit() + 1)
        return binding, page.page(rows, lambda row: str(row.number))

    async def delete(self, actor: Actor, ref: Ref, etag: str) -> None:
        """BINDING_HELD, ETAG_MISMATCH. Answers once no replica signs for it any more."""
        name = _binding_name(ref)
        async with self._desk.changing(actor, ref.project, name) as change:
            bound = await self._bound(change, ref, etag)
            if bound.binding.holders:
                holders = bound.binding.holders
                raise Fault(
                    Reason.BINDING_HELD,
                    "Resources live on the binding; delete them first.",
                    {"holders": ",".join(holders[:3]), "count": str(len(holders))},
                )
            now = self._desk.clock.now()
            await change.put_revision(self._superseded(bound, now))
            await change.put_binding(replace(bound.binding, update_time=now, delete_time=now))
        await self._state.refresh()
        await self._desk.wait_out()

    async def hold(self, actor: Actor, ref: Ref, holder: str) -> BoundRevision:
        """Holding twice changes nothing. HOLDERS_LIMIT_REACHED."""
        if holder_project(holder) != ref.project:
            text = "Name a resource of the same project, such as projects/acme/buckets/photos."
            _refuse([FieldViolation("holder", text)])
        return await self._set_holder(actor, ref, holder, held=True)

    async def release(self, actor: Actor, ref: Ref, holder: str) -> BoundRevision:
        """Releasing what doesn't hold changes nothing."""
        return await self._set_holder(actor, ref, holder, held=False)

    async def rotate(self, actor: Actor, wanted: Rotation) -> BoundRevision:
        """Another credential and perhaps another place, in one transaction."""
        if wanted.location is not None:
            origins = self._desk.insecure_origins
            _refuse(location_violations(wanted.location, "location", origins))
        ref = wanted.binding
        name, credential_name = _binding_name(ref), _credential_name(wanted.credential)
        now = self._desk.clock.now()
        request = self._desk.request_key(actor, name, wanted.idempotent)
        async with self._desk.changing(actor, ref.project, name, credential_name) as change:
            if request and await change.earlier(request, now) is not None:
                return await self._bound(change, ref, "")
            bound = await self._bound(change, ref, wanted.etag)
            location = wanted.location or bound.revision.location
            rotated = await self._join(change, bound, wanted.credential, location, now)
            if request:
                await change.remember(request, name, now)
        return await self._settled(rotated)

    async def rollback(
        self, actor: Actor, ref: Ref, number: int | None, etag: str
    ) -> BoundRevision:
        """A new revision like revision ``number``, or like the one before the active one."""
        now = self._desk.clock.now()
        async with self._desk.changing(actor, ref.project, _binding_name(ref)) as change:
            bound = await self._bound(change, ref, etag)
            wanted = bound.binding.active - 1 if number is None else number
            earlier = await change.revision(bound.binding.uid, wanted) if wanted > 0 else None
            if earlier is None or wanted == bound.binding.active:
                text = "Name an earlier revision of this binding."
                _refuse([FieldViolation("revision", text)])
                raise AssertionError
            credential = _ref_of(earlier.credential)
            rolled = await self._join(change, bound, credential, earlier.location, now)
        return await self._settled(rolled)

    async def _settled(self, bound: BoundRevision) -> BoundRevision:
        await self._state.refresh()
        await self._desk.wait_out()
        return bound

    async def _join(
        self,
        change: LedgerChange,
        bound: BoundRevision,
        ref: Ref,
        location: Location,
        now: datetime,
    ) -> BoundRevision:
        old = bound.revision
        credential = await self._usable(change, ref, bound.binding, location)
        moved = location != old.location
        epoch = old.location_epoch + (1 if moved else 0)
        number = old.number + 1
        revision = _revision(bound.binding, number, credential, location, epoch, now)
        binding = replace(bound.binding, active=number, update_time=now)
        await change.put_revision(self._superseded(bound, now))
        await change.put_revision(revision)
        await change.put_binding(binding)
        return BoundRevision(binding, revision)

    def _superseded(self, bound: BoundRevision, now: datetime) -> Revision:
        bound_until = now + timedelta(seconds=self._desk.staleness)
        return replace(
            bound.revision,
            state=RevisionState.SUPERSEDED,
            supersede_time=now,
            drain_time=bound_until + bound.binding.max_url_lifetime,
        )

    async def _bound(self, change: LedgerChange, ref: Ref, etag: str) -> BoundRevision:
        bound = await change.binding(ref.project, ref.id)
        if bound is None:
            raise _missing(ref)
        if etag and etag != bound.binding.etag:
            raise Fault(
                Reason.ETAG_MISMATCH,
                "The binding was changed since its etag was read; read it again.",
            )
        return bound

    async def _usable(
        self, change: LedgerChange, ref: Ref, binding: Binding, location: Location
    ) -> Credential:
        credential = await change.credential(ref.project, ref.id)
        consumers = credential.scope.consumer_projects if credential else frozenset[str]()
        if credential is None or not may_use(
            ref.project,
            consumers,
            binding.project,
            binding.binding_class,
            binding.binding_id,
            location.prefix,
        ):
            # Another project's credential that this one may not use looks like none at all.
            raise not_found(Reason.RESOURCE_NOT_FOUND, _credential_name(ref))
        self._check_alive(credential)
        missing = credential.scope.missing(location, binding.permissions)
        if missing is not None:
            raise Fault(
                Reason.SCOPE_EXCEEDED,
                "The credential was stored for other places or permissions.",
                {"credential": credential.name, "permission": str(missing)},
            )
        return credential

    def _check_alive(self, credential: Credential) -> None:
        expired = credential.expire_time and credential.expire_time <= self._desk.clock.now()
        if credential.state is CredentialState.DISABLED:
            reason, text = Reason.CREDENTIAL_DISABLED, "The credential is disabled."
        elif credential.state is CredentialState.DESTROYED:
            reason, text = Reason.CREDENTIAL_DESTROYED, "The credential was destroyed."
        elif expired:
            reason, text = Reason.CREDENTIAL_EXPIRED, "The credential has expired."
        else:
            return
        raise Fault(reason, text, {"credential": credential.name})

    async def _set_holder(
        self, actor: Actor, ref: Ref, holder: str, *, held: bool
    ) -> BoundRevision:
        async with self._desk.changing(actor, ref.project, _binding_name(ref)) as change:
            bound = await self._bound(change, ref, "")
            holders = set(bound.binding.holders)
            if held == (holder in holders):
                return bound
            if held and len(holders) >= MAX_HOLDERS:
                raise Fault(
                    Reason.HOLDERS_LIMIT_REACHED,
                    "The binding has as many holders as it may have.",
                    {"limit": str(MAX_HOLDERS)},
                )
            holders ^= {holder}
            now = self._desk.clock.now()
            changed = replace(bound.binding, holders=tuple(sorted(holders)), update_time=now)
            await change.put_binding(changed)
        await self._state.refresh()
        return replace(bound, binding=changed)


def _revision(
    binding: Binding,
    number: int,
    credential: Credential,
    location: Location,
    epoch: int,
    now: datetime,
) -> Revision:
    return Revision(
        binding_uid=binding.uid,
        number=number,
        credential=credential.name,
        credential_uid=credential.uid,
        location=location,
        location_epoch=epoch,
        state=RevisionState.ACTIVE,
        create_time=now,
    )


def _new_violations(new: NewBinding) -> list[FieldViolation]:
    found = []
    managed = new.binding_class is BindingClass.MANAGED
    if not is_resource_id(new.binding_id) or managed != (new.binding_id == MANAGED_ID):
        text = "Give a lower-case id; a MANAGED binding is named 'managed', and no other is."
        found.append(FieldViolation("binding_id", text))
    if not new.permissions or not new.permissions <= new.binding_class.allowed():
        text = "Give READ and, if wanted, LIST; WRITE and DELETE are for MANAGED bindings."
        found.append(FieldViolation("binding.permissions", text))
    if managed and new.location.prefix != f"{new.project}/":
        text = "A MANAGED binding lives below the prefix '{project}/'."
        found.append(FieldViolation("binding.active.location.prefix", text))
    return found


def _refuse(found: list[FieldViolation]) -> None:
    if found:
        raise Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=found)


def _binding_name(ref: Ref) -> str:
    return f"projects/{ref.project}/bindings/{ref.id}"


def _credential_name(ref: Ref) -> str:
    return f"projects/{ref.project}/credentials/{ref.id}"


def _ref_of(credential: str) -> Ref:
    _, project, _, credential_id = credential.split("/")
    return Ref(project, credential_id)


def _missing(ref: Ref) -> Fault:
    return not_found(Reason.RESOURCE_NOT_FOUND, _binding_name(ref))
