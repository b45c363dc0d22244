"""Joining buckets to credentials, and moving them from one to another."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta

from serving.faults import Fault, FieldViolation
from signer.app.context import Actor, Desk, Idempotent
from signer.app.joining import (
    Joiner,
    binding_name,
    credential_name,
    invalid,
    missing,
    new_revision,
    ref_of,
    refuse,
)
from signer.app.paging import Page, PageRequest
from signer.app.state import SigningState
from signer.domain.bindings import (
    MANAGED_ID,
    MAX_HOLDERS,
    Binding,
    BindingClass,
    BoundRevision,
    Revision,
    lifetime_violations,
    lifetimes,
    location_violations,
)
from signer.domain.credentials import Permission
from signer.domain.location import Location
from signer.domain.names import Ref, holder_project, is_resource_id
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
        self._joiner = Joiner(desk)

    async def create(self, actor: Actor, new: NewBinding) -> BoundRevision:
        """BINDING_ALREADY_EXISTS, SCOPE_EXCEEDED and what a credential may refuse for."""
        lifetime, window = lifetimes(new.max_url_lifetime, new.stable_window)
        found = _new_violations(new) + lifetime_violations(lifetime, window)
        path = "binding.active.location"
        found += location_violations(new.location, path, self._desk.insecure_origins)
        refuse(found)
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
            actor, new.project, binding.name, credential_name(new.credential)
        ) as change:
            if await change.binding(new.project, new.binding_id) is not None:
                raise Fault(
                    Reason.BINDING_ALREADY_EXISTS,
                    "The binding's name is taken.",
                    {"binding": binding.name},
                )
            credential = await self._joiner.usable(change, new.credential, binding, new.location)
            revision = new_revision(binding, 1, credential, new.location, 1, now)
            await change.put_binding(binding)
            await change.put_revision(revision)
        await self._state.changed()
        return BoundRevision(binding, revision)

    async def get(self, ref: Ref) -> BoundRevision:
        """RESOURCE_NOT_FOUND."""
        found = await self._desk.ledger.binding(ref.project, ref.id)
        if found is None:
            raise missing(ref)
        return found

    async def list(self, project: str, page: PageRequest) -> Page[BoundRevision]:
        """By name. PAGE_TOKEN_INVALID."""
        rows = await self._desk.ledger.bindings(project, page.cursor(), page.limit() + 1)
        return page.page(rows, lambda row: row.binding.binding_id)

    async def revisions(self, ref: Ref, page: PageRequest) -> tuple[Binding, Page[Revision]]:
        """Newest first. RESOURCE_NOT_FOUND, PAGE_TOKEN_INVALID."""
        binding = (await self.get(ref)).binding
        before = page.number() or binding.active + 1
        rows = await self._desk.ledger.revisions(binding.uid, before, page.limit() + 1)
        return binding, page.page(rows, lambda row: str(row.number))

    async def delete(self, actor: Actor, ref: Ref, etag: str) -> None:
        """BINDING_HELD, ETAG_MISMATCH. Answers once no replica signs for it any more."""
        name = binding_name(ref)
        async with self._desk.changing(actor, ref.project, name) as change:
            bound = await self._joiner.bound(change, ref, etag)
            if bound.binding.holders:
                holders = bound.binding.holders
                raise Fault(
                    Reason.BINDING_HELD,
                    "Resources live on the binding; delete them first.",
                    {"holders": ",".join(holders[:3]), "count": str(len(holders))},
                )
            now = self._desk.clock.now()
            await change.put_revision(self._joiner.superseded(bound, now))
            await change.put_binding(replace(bound.binding, update_time=now, delete_time=now))
        await self._state.changed()
        await self._desk.wait_out()

    async def hold(self, actor: Actor, ref: Ref, holder: str) -> BoundRevision:
        """Holding twice changes nothing. HOLDERS_LIMIT_REACHED."""
        return await self._set_holder(actor, ref, holder, held=True)

    async def release(self, actor: Actor, ref: Ref, holder: str) -> BoundRevision:
        """Releasing what doesn't hold changes nothing."""
        return await self._set_holder(actor, ref, holder, held=False)

    async def rotate(self, actor: Actor, wanted: Rotation) -> BoundRevision:
        """Another credential and perhaps another place, in one transaction."""
        if wanted.location is not None:
            origins = self._desk.insecure_origins
            refuse(location_violations(wanted.location, "location", origins))
        ref = wanted.binding
        name, joined = binding_name(ref), credential_name(wanted.credential)
        now = self._desk.clock.now()
        request = self._desk.request_key(actor, name, wanted.idempotent)
        async with self._desk.changing(actor, ref.project, name, joined) as change:
            earlier = await change.earlier(request, now) if request else None
            bound = await self._joiner.bound(change, ref, "" if earlier else wanted.etag)
            if earlier is None:
                location = wanted.location or bound.revision.location
                bound = await self._joiner.join(change, bound, wanted.credential, location, now)
                if request:
                    await change.remember(request, name, now)
        return await self._settled(bound)

    async def rollback(
        self, actor: Actor, ref: Ref, number: int | None, etag: str
    ) -> BoundRevision:
        """A new revision like revision ``number``, or like the one before the active one."""
        now = self._desk.clock.now()
        async with self._desk.changing(actor, ref.project, binding_name(ref)) as change:
            bound = await self._joiner.bound(change, ref, etag)
            wanted = bound.binding.active - 1 if number is None else number
            earlier = await change.revision(bound.binding.uid, wanted) if wanted > 0 else None
            if earlier is None or wanted == bound.binding.active:
                text = "Name an earlier revision of this binding."
                raise invalid([FieldViolation("revision", text)])
            credential = ref_of(earlier.credential)
            rolled = await self._joiner.join(change, bound, credential, earlier.location, now)
        return await self._settled(rolled)

    async def _settled(self, bound: BoundRevision) -> BoundRevision:
        await self._state.changed()
        await self._desk.wait_out()
        return bound

    async def _set_holder(
        self, actor: Actor, ref: Ref, holder: str, *, held: bool
    ) -> BoundRevision:
        if holder_project(holder) != ref.project:
            text = "Name a resource of the same project, such as projects/acme/buckets/photos."
            refuse([FieldViolation("holder", text)])
        async with self._desk.changing(actor, ref.project, binding_name(ref)) as change:
            bound = await self._joiner.bound(change, ref, "")
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
        await self._state.changed()
        return replace(bound, binding=changed)


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
