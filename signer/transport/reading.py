"""From requests to what the use cases take. INVALID_FIELD names every field that is wrong."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sealmount.signer.v1 import material_pb2, resources_pb2, service_pb2
from sealmount.type.v1 import location_pb2, signing_pb2

from serving.faults import Fault, FieldViolation
from signer.app.asked import ListQuery, ObjectRef, Options
from signer.app.bindings import NewBinding, Rotation
from signer.app.context import Idempotent
from signer.app.credentials import NewCredential
from signer.app.paging import PageRequest
from signer.domain.bindings import BindingClass
from signer.domain.credentials import Permission, Scope, ScopeRule
from signer.domain.location import Location, Provider
from signer.domain.names import Ref, parse_binding, parse_credential, parse_parent, parse_revision
from signer.domain.reasons import Reason
from signer.domain.responses import Disposition
from signer.domain.signing import Audience, Method

T = TypeVar("T")
E = TypeVar("E")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAX_SECONDS = 10 * 365 * 86_400

_METHODS = {
    signing_pb2.METHOD_UNSPECIFIED: Method.GET,
    signing_pb2.METHOD_GET: Method.GET,
    signing_pb2.METHOD_HEAD: Method.HEAD,
    signing_pb2.METHOD_PUT: Method.PUT,
    signing_pb2.METHOD_DELETE: Method.DELETE,
}
_AUDIENCES = {
    signing_pb2.AUDIENCE_UNSPECIFIED: Audience.PUBLIC,
    signing_pb2.AUDIENCE_PUBLIC: Audience.PUBLIC,
    signing_pb2.AUDIENCE_INTERNAL: Audience.INTERNAL,
}
_DISPOSITIONS = {
    signing_pb2.DISPOSITION_UNSPECIFIED: Disposition.DEFAULT,
    signing_pb2.DISPOSITION_INLINE: Disposition.INLINE,
    signing_pb2.DISPOSITION_ATTACHMENT: Disposition.ATTACHMENT,
}
_PERMISSIONS = {
    signing_pb2.PERMISSION_READ: Permission.READ,
    signing_pb2.PERMISSION_LIST: Permission.LIST,
    signing_pb2.PERMISSION_WRITE: Permission.WRITE,
    signing_pb2.PERMISSION_DELETE: Permission.DELETE,
}
_CLASSES = {
    resources_pb2.Binding.CLASS_CUSTOMER: BindingClass.CUSTOMER,
    resources_pb2.Binding.CLASS_MANAGED: BindingClass.MANAGED,
}


def refused(field: str, description: str) -> Fault:
    violation = FieldViolation(field, description)
    return Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=[violation])


def _parsed(parse: Callable[[str], T | None], text: str, field: str, form: str) -> T:
    found = parse(text)
    if found is None:
        raise refused(field, f"Give a name of the form {form}.")
    return found


def parent_of(text: str) -> str:
    return _parsed(parse_parent, text, "parent", "projects/{project}")


def credential_ref(text: str, field: str = "name") -> Ref:
    form = "projects/{project}/credentials/{credential}"
    return _parsed(parse_credential, text, field, form)


def binding_ref(text: str, field: str = "name") -> Ref:
    return _parsed(parse_binding, text, field, "projects/{project}/bindings/{binding}")


def revision_number(text: str, binding: Ref) -> int | None:
    """The number in a revision's name; None for an empty one. It must be of this binding."""
    if not text:
        return None
    form = "projects/{project}/bindings/{binding}/revisions/{revision}"
    owner, number = _parsed(parse_revision, text, "revision", form)
    if owner != binding:
        raise refused("revision", "Name a revision of this binding.")
    return number


def known(table: Mapping[E, T], value: E, field: str) -> T:
    """What an enum value stands for; one that isn't known here is refused, never guessed."""
    found = table.get(value)
    if found is None:
        raise refused(field, "Give one of the documented values.")
    return found


def duration_of(message: Message, name: str, field: str) -> timedelta | None:
    """A Duration field, None when absent."""
    if not message.HasField(name):
        return None
    value: Duration = getattr(message, name)
    whole = -_MAX_SECONDS <= value.seconds <= _MAX_SECONDS and abs(value.nanos) < 1_000_000_000
    if not whole or value.nanos % 1_000_000:
        raise refused(field, "Give whole seconds.")
    return timedelta(seconds=value.seconds, milliseconds=value.nanos // 1_000_000)


def time_of(message: Message, name: str, field: str) -> datetime | None:
    """A Timestamp field, None when absent."""
    if not message.HasField(name):
        return None
    value: Timestamp = getattr(message, name)
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise refused(field, "Give a time between the years 1 and 9999.") from None


def idempotent_of(request: Message, request_id: str) -> Idempotent | None:
    if not request_id:
        return None
    if not _UUID.fullmatch(request_id):
        raise refused("request_id", "Give a UUID, such as one from uuidgen.")
    return Idempotent(request_id.lower(), request.SerializeToString(deterministic=True))


def page_of(list_name: str, size: int, token: str) -> PageRequest:
    return PageRequest(list_name, size, token)


def permissions_of(
    values: Iterable[signing_pb2.Permission.ValueType], field: str
) -> frozenset[Permission]:
    return frozenset(known(_PERMISSIONS, value, field) for value in values)


def location_of(message: location_pb2.Location, field: str) -> Location:
    if message.WhichOneof("store") != "s3":
        raise refused(field, "Give one kind of store.")
    s3 = message.s3
    return Location(
        provider=Provider.S3,
        bucket=s3.bucket,
        region=s3.region,
        endpoint=s3.endpoint,
        public_endpoint=s3.public_endpoint,
        path_style=s3.path_style,
        requester_pays=s3.requester_pays,
        prefix=message.prefix,
    )


def scope_of(message: resources_pb2.CredentialScope) -> Scope:
    rules = tuple(
        ScopeRule(
            rule.origin,
            rule.bucket,
            rule.prefix,
            permissions_of(rule.permissions, f"scope.rules[{index}].permissions"),
        )
        for index, rule in enumerate(message.rules)
    )
    return Scope(rules, frozenset(message.consumer_projects))


def material_of(message: material_pb2.CredentialMaterial) -> tuple[str, dict[str, bytes]]:
    """Kind and fields. Fields that aren't set are left out."""
    kind = message.WhichOneof("kind")
    if kind is None:
        raise refused("plain", "Give one kind of material.")
    inner = getattr(message, kind)
    return kind, {field.name: value.encode() for field, value in inner.ListFields()}


def credential_of(request: service_pb2.StoreCredentialRequest) -> NewCredential:
    project = parent_of(request.parent)
    if request.WhichOneof("material") != "plain":
        raise refused("plain", "Give the material.")
    kind, fields = material_of(request.plain)
    return NewCredential(
        project=project,
        credential_id=request.credential_id,
        kind=kind,
        scope=scope_of(request.scope),
        material=fields,
        expire_time=time_of(request, "expire_time", "expire_time"),
        idempotent=idempotent_of(request, request.request_id),
    )


def new_binding_of(request: service_pb2.CreateBindingRequest) -> NewBinding:
    binding = request.binding
    path = "binding.permissions"
    return NewBinding(
        project=parent_of(request.parent),
        binding_id=request.binding_id,
        binding_class=known(_CLASSES, getattr(binding, "class"), "binding.class"),
        permissions=permissions_of(binding.permissions, path),
        credential=credential_ref(binding.active.credential, "binding.active.credential"),
        location=location_of(binding.active.location, "binding.active.location"),
        max_url_lifetime=duration_of(binding, "max_url_lifetime", "binding.max_url_lifetime"),
        stable_window=duration_of(binding, "stable_window", "binding.stable_window"),
    )


def rotation_of(request: service_pb2.RotateBindingRequest) -> Rotation:
    moved = request.HasField("location")
    if not request.etag:
        raise refused("etag", "Give the etag that GetBinding shows.")
    return Rotation(
        binding=binding_ref(request.name),
        credential=credential_ref(request.credential, "credential"),
        location=location_of(request.location, "location") if moved else None,
        etag=request.etag,
        idempotent=idempotent_of(request, request.request_id),
    )


def options_of(message: resources_pb2.SignOptions) -> Options:
    return Options(
        method=known(_METHODS, message.method, "options.method"),
        audience=known(_AUDIENCES, message.audience, "options.audience"),
        ttl=duration_of(message, "ttl", "options.ttl"),
        content_type=message.response_content_type,
        disposition=known(_DISPOSITIONS, message.disposition, "options.disposition"),
        cache_control=message.response_cache_control,
    )


def object_of(message: resources_pb2.ObjectRef) -> ObjectRef:
    return ObjectRef(
        message.key, message.version, message.version_epoch, message.response_content_type
    )


def query_of(request: service_pb2.SignListUrlRequest) -> ListQuery:
    return ListQuery(
        prefix=request.prefix,
        start_after=request.start_after,
        continuation_token=request.continuation_token,
        page_size=request.page_size or 1000,
    )
