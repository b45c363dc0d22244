"""From requests to what the use cases take. INVALID_FIELD names every field that is wrong.

Descriptions say what to give. Nothing that a caller sent stands in one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from sealmount.catalog.v1 import resources_pb2, service_pb2
from sealmount.type.v1 import signing_pb2

from catalog.app.buckets import BucketChange, NewBucket
from catalog.app.imports import ImportRequest
from catalog.app.keys import is_storable
from catalog.app.paging import PageRequest
from catalog.app.refusals import MAX_BATCH, batch_too_large, invalid_field
from catalog.domain import names
from catalog.domain.model import Mode, ProbePolicy
from catalog.domain.names import BucketRef, ImageRef, OperationRef
from catalog.domain.ports import SourceKind, ViewOptions
from serving.texts import has_control, is_plain

T = TypeVar("T")
E = TypeVar("E")
MAX_KEYS = 10_000
MAX_DISPLAY_NAME = 128
MAX_ON_BEHALF_OF = 256
_MAX_TTL = 7 * 86_400
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CACHE_CONTROL = re.compile(r"[a-z0-9=, -]{0,128}")
_CHANGEABLE = frozenset({"display_name", "probe_policy"})

_MODES = {resources_pb2.MODE_LINK: Mode.LINK}
_POLICIES = {
    resources_pb2.PROBE_POLICY_UNSPECIFIED: ProbePolicy.HEADERS,
    resources_pb2.PROBE_POLICY_HEADERS: ProbePolicy.HEADERS,
    resources_pb2.PROBE_POLICY_NONE: ProbePolicy.NONE,
}
_AUDIENCES = {
    signing_pb2.AUDIENCE_UNSPECIFIED: "",
    signing_pb2.AUDIENCE_PUBLIC: "PUBLIC",
    signing_pb2.AUDIENCE_INTERNAL: "INTERNAL",
}
_DISPOSITIONS = {
    signing_pb2.DISPOSITION_UNSPECIFIED: "",
    signing_pb2.DISPOSITION_INLINE: "INLINE",
    signing_pb2.DISPOSITION_ATTACHMENT: "ATTACHMENT",
}


def _named(parse: Callable[[str], T | None], text: str, field: str, form: str) -> T:
    found = parse(text)
    if found is None:
        raise invalid_field(field, f"Give a name of the form {form}.")
    return found


def project(text: str, field: str = "parent") -> str:
    return _named(names.parse_project, text, field, "projects/{project}")


def bucket_ref(text: str, field: str) -> BucketRef:
    return _named(names.parse_bucket, text, field, "projects/{project}/buckets/{bucket}")


def image_ref(text: str, field: str = "name") -> ImageRef:
    form = "projects/{project}/buckets/{bucket}/images/{image}"
    return _named(names.parse_image, text, field, form)


def operation_ref(text: str, field: str = "name") -> OperationRef:
    form = "projects/{project}/operations/{operation}"
    return _named(names.parse_operation, text, field, form)


def image_ids(bucket: BucketRef, given: Sequence[str]) -> list[str]:
    """The ids of a batch's names, each of the same bucket."""
    if not given:
        raise invalid_field("names", "Give at least one name.")
    if len(given) > MAX_BATCH:
        raise batch_too_large()
    refs = [image_ref(name, f"names[{index}]") for index, name in enumerate(given)]
    for index, ref in enumerate(refs):
        if ref.bucket != bucket:
            raise invalid_field(f"names[{index}]", "Give an image of the bucket in parent.")
    return [ref.image_id for ref in refs]


def page(parameters: Sequence[str], size: int, token: str) -> PageRequest:
    request = PageRequest(tuple(parameters), size, token)
    _ = request.limit  # refuses a negative size before the token is looked at
    return request


def _known(table: Mapping[E, T], value: E, field: str) -> T:
    """What an enum value stands for; one that isn't known here is refused, never guessed."""
    if value not in table:
        raise invalid_field(field, "Give one of the documented values.")
    return table[value]


def _text(text: str, field: str, characters: int) -> str:
    if len(text) > characters or has_control(text):
        raise invalid_field(
            field, f"Give at most {characters} characters, without control characters."
        )
    return text


def on_behalf_of(text: str) -> str:
    if not is_plain(text, MAX_ON_BEHALF_OF):
        raise invalid_field(
            "on_behalf_of", f"Give at most {MAX_ON_BEHALF_OF} bytes, without control characters."
        )
    return text


def new_bucket(request: service_pb2.CreateBucketRequest) -> NewBucket:
    of = project(request.parent)
    if not names.is_id(request.bucket_id):
        raise invalid_field(
            "bucket_id",
            "Give 1 to 63 lower-case letters, digits and inner hyphens, a letter first.",
        )
    bucket = request.bucket
    if names.binding_project(bucket.binding) != of:
        raise invalid_field(
            "bucket.binding",
            "Give a binding of the same project: projects/{project}/bindings/{binding}.",
        )
    return NewBucket(
        BucketRef(of, request.bucket_id),
        bucket.binding,
        _known(_MODES, bucket.mode, "bucket.mode"),
        _known(_POLICIES, bucket.probe_policy, "bucket.probe_policy"),
        _text(bucket.display_name, "bucket.display_name", MAX_DISPLAY_NAME),
    )


def bucket_change(request: service_pb2.UpdateBucketRequest) -> BucketChange:
    """By the mask (AIP-134): "*" is all that can be changed, and none what is set."""
    bucket, paths = request.bucket, list(request.update_mask.paths)
    ref = bucket_ref(bucket.name, "bucket.name")
    whole = paths == ["*"]
    if whole:
        wanted = set(_CHANGEABLE)
    elif request.HasField("update_mask") and paths:
        wanted = set(paths)
        if not wanted <= _CHANGEABLE:
            raise invalid_field(
                "update_mask", 'Give "display_name", "probe_policy", or "*" by itself.'
            )
    else:
        wanted = {field.name for field, _ in bucket.ListFields()} & _CHANGEABLE
    name = _text(bucket.display_name, "bucket.display_name", MAX_DISPLAY_NAME)
    policy = _known(_POLICIES, bucket.probe_policy, "bucket.probe_policy")
    return BucketChange(
        ref,
        etag=bucket.etag,
        display_name=name if "display_name" in wanted else None,
        probe_policy=policy if "probe_policy" in wanted else None,
        binding=bucket.binding if whole else "",
    )


def import_request(request: service_pb2.ImportImagesRequest) -> ImportRequest:
    ref = bucket_ref(request.bucket, "bucket")
    if request.request_id and not _UUID.fullmatch(request.request_id):
        raise invalid_field("request_id", "Give a UUID.")
    kind, keys = SourceKind.LISTING, tuple[str, ...]()
    match request.WhichOneof("source"):
        case "listing":
            key_prefix(request.listing.prefix, "listing.prefix")
        case "keys":
            kind, keys = SourceKind.KEYS, _keys(request.keys.keys)
        case _:
            raise invalid_field("source", "Give one of listing and keys.")
    return ImportRequest(
        ref,
        kind,
        request.listing.prefix,
        keys,
        request.request_id.lower(),
        on_behalf_of(request.on_behalf_of),
    )


def _keys(given: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(given) <= MAX_KEYS:
        raise invalid_field("keys.keys", "Give 1 to 10,000 keys.")
    for index, key in enumerate(given):
        if not is_storable(key):
            raise invalid_field(
                f"keys.keys[{index}]", "Give a key of 1 to 1,024 bytes, without U+0000."
            )
    return tuple(given)


def key_prefix(text: str, field: str = "key_prefix") -> str:
    if text and not is_storable(text):
        raise invalid_field(field, "Give at most 1,024 bytes, without U+0000.")
    return text


def view_options(options: service_pb2.ViewOptions) -> ViewOptions:
    """The Signer has the last word on each of them; what no Signer takes is refused here."""
    if not _CACHE_CONTROL.fullmatch(options.response_cache_control):
        raise invalid_field(
            "options.response_cache_control", "Give directives such as private, max-age=900."
        )
    return ViewOptions(
        ttl=_seconds(options.ttl, "options.ttl") if options.HasField("ttl") else None,
        audience=_known(_AUDIENCES, options.audience, "options.audience"),
        disposition=_known(_DISPOSITIONS, options.disposition, "options.disposition"),
        response_cache_control=options.response_cache_control,
    )


def _seconds(value: Duration, field: str) -> timedelta:
    if value.nanos or not 1 <= value.seconds <= _MAX_TTL:
        raise invalid_field(field, "Give whole seconds, from 1 to 604800.")
    return timedelta(seconds=value.seconds)


def wait_seconds(value: Duration, present: bool, longest: float) -> float:
    """``timeout`` of WaitOperation; as long as the call may last when it is absent."""
    if not present:
        return longest
    if value.seconds < 0 or value.nanos < 0:
        raise invalid_field("timeout", "Give a duration that isn't negative.")
    return min(value.seconds + value.nanos / 1e9, longest)


def operation_filter(text: str) -> bool | None:
    """The one filter that there is: by ``done``. None for all."""
    wanted = {"": None, "done=true": True, "done=false": False}
    plain = "".join(text.split()) if len(text) < 32 else text
    if plain not in wanted:
        raise invalid_field("filter", 'Give nothing, "done = true" or "done = false".')
    return wanted[plain]
