"""What joins a binding to a credential, within one transaction, and what may refuse it."""

from dataclasses import replace
from datetime import datetime, timedelta

from serving.faults import Fault, FieldViolation
from serving.names import not_found
from signer.app.compiler import may_use
from signer.app.context import Desk
from signer.domain.bindings import Binding, BindingClass, BoundRevision, Revision, RevisionState
from signer.domain.credentials import Credential, CredentialState
from signer.domain.location import Location
from signer.domain.names import Ref
from signer.domain.ports import LedgerChange
from signer.domain.reasons import Reason


class Joiner:
    """Makes revisions. Each method works inside the caller's transaction."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def bound(self, change: LedgerChange, ref: Ref, etag: str) -> BoundRevision:
        bound = await change.binding(ref.project, ref.id)
        if bound is None:
            raise missing(ref)
        if etag and etag != bound.binding.etag:
            raise Fault(
                Reason.ETAG_MISMATCH,
                "The binding was changed since its etag was read; read it again.",
            )
        return bound

    async def join(
        self,
        change: LedgerChange,
        bound: BoundRevision,
        ref: Ref,
        location: Location,
        now: datetime,
    ) -> BoundRevision:
        old = bound.revision
        credential = await self.usable(change, ref, bound.binding, location)
        moved = location != old.location
        epoch = old.location_epoch + (1 if moved else 0)
        number = old.number + 1
        revision = new_revision(bound.binding, number, credential, location, epoch, now)
        binding = replace(bound.binding, active=number, update_time=now)
        await change.put_revision(self.superseded(bound, now))
        await change.put_revision(revision)
        await change.put_binding(binding)
        return BoundRevision(binding, revision)

    def superseded(self, bound: BoundRevision, now: datetime) -> Revision:
        bound_until = now + timedelta(seconds=self._desk.staleness)
        return replace(
            bound.revision,
            state=RevisionState.SUPERSEDED,
            supersede_time=now,
            drain_time=bound_until + bound.binding.max_url_lifetime,
        )

    async def usable(
        self, change: LedgerChange, ref: Ref, binding: Binding, location: Location
    ) -> Credential:
        if (
            binding.binding_class is BindingClass.MANAGED
            and location.prefix != binding.project + "/"
        ):
            text = "A MANAGED binding lives below the prefix '{project}/'."
            raise invalid([FieldViolation("location.prefix", text)])
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
            raise not_found(Reason.RESOURCE_NOT_FOUND, credential_name(ref))
        self._check_alive(credential)
        lacking = credential.scope.missing(location, binding.permissions)
        if lacking is not None:
            raise Fault(
                Reason.SCOPE_EXCEEDED,
                "The credential's scope doesn't cover this origin, bucket and prefix.",
                {"credential": credential.name, "permission": str(lacking)},
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


def new_revision(
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


def invalid(found: list[FieldViolation]) -> Fault:
    return Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=found)


def refuse(found: list[FieldViolation]) -> None:
    if found:
        raise invalid(found)


def binding_name(ref: Ref) -> str:
    return f"projects/{ref.project}/bindings/{ref.id}"


def credential_name(ref: Ref) -> str:
    return f"projects/{ref.project}/credentials/{ref.id}"


def ref_of(credential: str) -> Ref:
    _, project, _, credential_id = credential.split("/")
    return Ref(project, credential_id)


def missing(ref: Ref) -> Fault:
    return not_found(Reason.RESOURCE_NOT_FOUND, binding_name(ref))
