"""What the contract may hold, as rules over descriptors; each gives one line per offence.

    offences(service_pb2.DESCRIPTOR.services_by_name["SignerService"])  # []

Responses are walked through ``google.longrunning.operation_info``, too, since an Operation carries
its response and metadata as ``Any``.
"""

import re
from collections.abc import Iterator
from typing import Any

from google.api import field_behavior_pb2, resource_pb2
from google.longrunning import operations_pb2  # type: ignore[import-untyped,unused-ignore]
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor
from sealmount.type.v1 import sensitivity_pb2

Behavior = field_behavior_pb2.FieldBehavior
UNSPECIFIED = sensitivity_pb2.SENSITIVITY_UNSPECIFIED
SEALED = sensitivity_pb2.SENSITIVITY_SEALED
BEARER = sensitivity_pb2.SENSITIVITY_BEARER
MATERIAL = "sealmount.signer.v1.CredentialMaterial"
WAY_IN = "sealmount.signer.v1.StoreCredentialRequest"
OPERATION = "google.longrunning.Operation"
OPAQUE = frozenset(f"google.protobuf.{n}" for n in ("Any", "Struct", "Value", "ListValue"))
# The carriers of Any that gRPC and AIP-151 prescribe; nothing of ours is packed into the second.
CARRIERS = frozenset({OPERATION, "google.rpc.Status"})
_SMELLS = re.compile(
    r"secret|token|passw|passphrase|credential|private|signature|cookie|bearer|auth"
    r"|(?:^|_)(?:api|access|account|session|signing)?_?keys?(?:_|$)|(?:^|_)(?:pin|sas|pem|jwt)(?:_|$)"
)
_URL = re.compile(r"(?:^|_)ur[il]s?(?:_|$)")


def sensitivity(field: FieldDescriptor) -> int:
    return int(field.GetOptions().Extensions[sensitivity_pb2.sensitivity])


def reachable(start: Descriptor) -> dict[str, tuple[Descriptor, str]]:
    """Every message below ``start``, by full name, with the path that leads there."""
    found: dict[str, tuple[Descriptor, str]] = {}
    todo = [(start, start.name)]
    while todo:
        message, path = todo.pop()
        if message.full_name in found:
            continue
        found[message.full_name] = (message, path)
        if message.full_name in CARRIERS:
            continue
        below = ((field.message_type, f"{path}.{field.name}") for field in message.fields)
        todo += [(kind, where) for kind, where in below if kind is not None]
    return found


def results(method: Any) -> list[Descriptor]:
    """What a caller of the RPC gets: its response, and what its operation ends in or shows."""
    info = method.GetOptions().Extensions[operations_pb2.operation_info]
    pool, package = method.containing_service.file.pool, method.containing_service.file.package
    named = [name for name in (info.response_type, info.metadata_type) if name]
    full = [name if "." in name else f"{package}.{name}" for name in named]
    return [method.output_type, *(pool.FindMessageTypeByName(name) for name in full)]


def offences(service: ServiceDescriptor) -> list[str]:
    """Everything that is wrong with a service's messages."""
    found: list[str] = []
    for method in service.methods:
        if method.output_type.full_name == OPERATION and len(results(method)) != 3:
            found.append(f"{method.name}: an operation without operation_info")
        for result in results(method):
            for message, path in reachable(result).values():
                found += [f"{method.name}: {path}.{o}" for o in _in_response(message)]
        for message, path in reachable(method.input_type).values():
            found += [f"{method.name}: {path}.{o}" for o in _in_request(message, method)]
    return sorted(set(found))


def _in_response(message: Descriptor) -> Iterator[str]:
    if message.full_name == MATERIAL:
        yield "holds credential material"
    if message.full_name in OPAQUE:
        yield f"holds a {message.name}, which could hold anything"
    if message.full_name in CARRIERS or not _ours(message):
        return
    for field in message.fields:
        if sensitivity(field) == SEALED:
            yield f"{field.name} is SEALED and would be returned"
        if field.GetOptions().debug_redact and sensitivity(field) != BEARER:
            yield f"{field.name} is redacted and would be returned"
        yield from _named(field)


def _in_request(message: Descriptor, method: Any) -> Iterator[str]:
    if message.full_name == MATERIAL and method.input_type.full_name != WAY_IN:
        yield "takes credential material"
    if message.full_name in OPAQUE:
        yield f"takes a {message.name}, which could hold anything"
    if not _ours(message):
        return
    for field in message.fields:
        behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        if sensitivity(field) == SEALED:
            if not field.GetOptions().debug_redact or Behavior.INPUT_ONLY not in behaviors:
                yield f"{field.name} is SEALED, but not debug_redact and INPUT_ONLY"
            if method.input_type.full_name != WAY_IN:
                yield f"{field.name} is SEALED outside of {WAY_IN}"
        yield from _named(field)


def _named(field: FieldDescriptor) -> Iterator[str]:
    """By its name alone: a secret's or a URL's, without the option that says what it is."""
    if field.containing_type is not None and field.containing_type.GetOptions().map_entry:
        return  # protobuf's own names; the map's field has been judged
    text = field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    unmarked = sensitivity(field) == UNSPECIFIED
    if unmarked and _SMELLS.search(field.name) and not _is_resource(field):
        yield f"{field.name} smells of a secret and has no sensitivity"
    if text and _URL.search(field.name) and sensitivity(field) != BEARER:
        yield f"{field.name} is a URL and not BEARER"


def _is_resource(field: FieldDescriptor) -> bool:
    """A resource's name, or resources themselves, whose own fields are walked."""
    if field.message_type is not None:
        return _ours(field.message_type)
    reference = field.GetOptions().Extensions[resource_pb2.resource_reference]
    return bool(reference.type or reference.child_type)


def _ours(message: Descriptor) -> bool:
    return not message.full_name.startswith("google.")


def without_behavior(service: ServiceDescriptor) -> list[str]:
    """Fields of requests, and of what is in them, that don't say how they behave."""
    found = set()
    for method in service.methods:
        for message, _ in reachable(method.input_type).values():
            if not _ours(message) or message.GetOptions().map_entry:
                continue
            for field in message.fields:
                options = field.GetOptions()
                in_oneof = field.containing_oneof is not None
                if not options.Extensions[field_behavior_pb2.field_behavior] and not in_oneof:
                    found.add(field.full_name)
    return sorted(found)
