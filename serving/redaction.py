"""Messages for the log, without what must not stand there.

    redact(request)   # {"parent": "projects/acme", "credential_id": "c", "plain": "[SEALED]"}

Python's protobuf prints every field, whatever ``debug_redact`` says, so this is the one way in
which messages are printed here. It follows the field option ``sealmount.type.v1.sensitivity``:
SEALED and BEARER fields, and everything beneath them, become a marker. Fields that the descriptor
doesn't know are dropped, bytes are shown as a length, long values and long lists are cut.

When the option isn't registered in the process nothing can be told apart, and nothing is printed.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

OPTION = "sealmount.type.v1.sensitivity"
MAX_TEXT = 128
MAX_ITEMS = 8
MAX_DEPTH = 8
UNREADABLE = "[UNREADABLE]"

_MARKERS = {1: "[SEALED]", 2: "[BEARER]"}  # the numbers of sealmount.type.v1.Sensitivity
_UNSPECIFIED, _PUBLIC = 0, 3
_TYPE_URL = re.compile(r"[a-z0-9.-]{1,64}/([A-Za-z_][A-Za-z0-9_.]{0,127})")
# Containers whose content no option can describe, by their full names.
_OPAQUE = frozenset(
    {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"}
)

Show = Callable[[Any, int], Any]
# Descriptors live as long as the process, and there are as many of them as message types.
_plans: dict[Any, dict[int, Show]] = {}


def redact(message: Message) -> dict[str, Any]:
    """The set fields by name, as JSON types. Never raises: what can't be shown is a marker."""
    try:
        return _show_fields(message, 0)
    except Exception:  # noqa: BLE001  # a log line isn't worth a failed call
        return {"": UNREADABLE}


def _show_fields(message: Message, depth: int) -> dict[str, Any]:
    plan = _plans.get(message.DESCRIPTOR)
    if plan is None:
        plan = _plans[message.DESCRIPTOR] = _plan(message.DESCRIPTOR)
    shown: dict[str, Any] = {}
    for field, value in message.ListFields():
        name = f"[{field.full_name}]" if field.is_extension else field.name
        show = plan.get(field.number) or _field(field, _extension())
        shown[name] = show(value, depth)
    return shown


def _extension() -> Any:
    """The option, looked up when it is needed: the generated code is another package's."""
    return descriptor_pool.Default().FindExtensionByName(OPTION)


def _plan(descriptor: Any) -> dict[int, Show]:
    extension = _extension()
    return {field.number: _field(field, extension) for field in descriptor.fields}


def _field(field: FieldDescriptor, extension: Any) -> Show:
    options = field.GetOptions()
    sensitivity: int = options.Extensions[extension]
    if sensitivity not in (_UNSPECIFIED, _PUBLIC):  # a level added later is taken for SEALED
        return _constant(_MARKERS.get(sensitivity, _MARKERS[1]))
    if options.debug_redact and sensitivity != _PUBLIC:
        return _constant(_MARKERS[1])
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        # The option may also stand on the entry's own value, in a descriptor built by hand.
        return _map(_field(kind.fields_by_name["value"], extension))
    show = _single(field)
    return _list(show) if field.is_repeated else show


def _constant(marker: str) -> Show:
    return lambda _value, _depth: marker


def _single(field: FieldDescriptor) -> Show:
    kind = field.message_type
    if kind is not None:
        return _message(kind)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda value, _depth: names.get(value, value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value, _depth: f"<{len(value)} bytes>"
    if field.type == FieldDescriptor.TYPE_STRING:
        return lambda value, _depth: _cut(value)
    return lambda value, _depth: value


def _message(kind: Descriptor) -> Show:
    name = kind.full_name
    if name == "google.protobuf.Any":
        return lambda value, _depth: _any(value.type_url)
    if name in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
        return lambda value, _depth: _time(value)
    if name in _OPAQUE:
        return _constant(f"<{name}>")

    def show(value: Message, depth: int) -> Any:
        return _show_fields(value, depth + 1) if depth < MAX_DEPTH else f"<{name}>"

    return show


def _list(show: Show) -> Show:
    def show_items(values: Iterable[Any], depth: int) -> list[Any]:
        items = list(values)
        shown = [show(item, depth) for item in items[:MAX_ITEMS]]
        return [*shown, f"… {len(items) - MAX_ITEMS} more"] if len(items) > MAX_ITEMS else shown

    return show_items


def _map(show: Show) -> Show:
    def show_entries(values: dict[Any, Any], depth: int) -> dict[str, Any]:
        keys = list(values)
        shown = {_cut(str(key)): show(values[key], depth) for key in keys[:MAX_ITEMS]}
        return {**shown, "…": f"{len(keys) - MAX_ITEMS} more"} if len(keys) > MAX_ITEMS else shown

    return show_entries


def _any(type_url: str) -> str:
    known = _TYPE_URL.fullmatch(type_url)
    return f"<{known.group(1)}>" if known else "<google.protobuf.Any>"


def _time(value: Any) -> Any:
    try:
        return value.ToJsonString()
    except ValueError:  # out of range, as a caller may well send it
        return UNREADABLE


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
