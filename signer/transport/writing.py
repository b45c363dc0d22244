"""From what the use cases give back to responses."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sealmount.signer.v1 import resources_pb2, service_pb2
from sealmount.type.v1 import location_pb2, signing_pb2

from serving.faults import Fault
from signer.app.credentials import CredentialView
from signer.app.signing import Terms
from signer.domain.bindings import Binding, BoundRevision, Revision
from signer.domain.credentials import Scope
from signer.domain.location import Location
from signer.transport.errors import CODES

_KINDS: Mapping[str, resources_pb2.Credential.Kind.ValueType] = {
    "aws_access_key": resources_pb2.Credential.KIND_AWS_ACCESS_KEY,
}


def timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    value = Timestamp()
    value.FromDatetime(time)
    return value


def _duration(length: timedelta) -> Duration:
    return Duration(seconds=int(length.total_seconds()))


def location(place: Location) -> location_pb2.Location:
    s3 = location_pb2.S3Location(
        bucket=place.bucket,
        region=place.region,
        endpoint=place.endpoint,
        public_endpoint=place.public_endpoint,
        path_style=place.path_style,
        requester_pays=place.requester_pays,
    )
    return location_pb2.Location(s3=s3, prefix=place.prefix)


def _permissions(names: frozenset[str]) -> list[signing_pb2.Permission.ValueType]:
    return sorted(signing_pb2.Permission.Value(f"PERMISSION_{name}") for name in names)


def _scope(scope: Scope) -> resources_pb2.CredentialScope:
    rules = [
        resources_pb2.ScopeRule(
            origin=rule.origin,
            bucket=rule.bucket,
            prefix=rule.prefix,
            permissions=_permissions(frozenset(rule.permissions)),
        )
        for rule in scope.rules
    ]
    consumers = sorted(scope.consumer_projects)
    return resources_pb2.CredentialScope(rules=rules, consumer_projects=consumers)


def credential(view: CredentialView) -> resources_pb2.Credential:
    found = view.credential
    return resources_pb2.Credential(
        name=found.name,
        uid=found.uid,
        kind=_KINDS[found.kind],
        principal_hint=found.principal_hint,
        state=resources_pb2.Credential.State.Value(f"STATE_{found.state}"),
        scope=_scope(found.scope),
        expire_time=timestamp(found.expire_time),
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
        bindings=view.bindings,
        drain_time=timestamp(view.drain_time),
    )


def revision(binding: Binding, found: Revision) -> resources_pb2.BindingRevision:
    return resources_pb2.BindingRevision(
        name=binding.revision_name(found.number),
        credential=found.credential,
        location=location(found.location),
        location_epoch=found.location_epoch,
        state=resources_pb2.BindingRevision.State.Value(f"STATE_{found.state}"),
        supersede_time=timestamp(found.supersede_time),
        drain_time=timestamp(found.drain_time),
        create_time=timestamp(found.create_time),
    )


def binding(bound: BoundRevision) -> resources_pb2.Binding:
    found = bound.binding
    message = resources_pb2.Binding(
        name=found.name,
        uid=found.uid,
        permissions=_permissions(frozenset(found.permissions)),
        max_url_lifetime=_duration(found.max_url_lifetime),
        stable_window=_duration(found.stable_window),
        active=revision(found, bound.revision),
        holders=found.holders,
        etag=found.etag,
        create_time=timestamp(found.create_time),
        update_time=timestamp(found.update_time),
    )
    # ``class`` is a word of Python's own.
    value = resources_pb2.Binding.Class.Value(f"CLASS_{found.binding_class}")
    setattr(message, "class", value)
    return message


def terms(given: Terms) -> signing_pb2.UrlTerms:
    return signing_pb2.UrlTerms(
        method=str(given.method),
        headers=given.headers,
        not_after=timestamp(given.lifetime.not_after),
        refresh_after=timestamp(given.lifetime.refresh_after),
        revision=given.revision,
        location_epoch=given.location_epoch,
    )


def item_error(fault: Fault) -> signing_pb2.ItemError:
    code = next(code for reason, code in CODES.items() if reason == fault.reason)
    return signing_pb2.ItemError(code=code.value[0], reason=fault.reason, message=fault.message)


def outcomes(given: list[str | Fault]) -> list[service_pb2.UrlOutcome]:
    made = service_pb2.UrlOutcome
    return [made(url=url) if isinstance(url, str) else made(error=item_error(url)) for url in given]
