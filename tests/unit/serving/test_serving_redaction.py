"""The redactor: marked fields at any depth, and everything that no option can describe."""

import json
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    struct_pb2,
    timestamp_pb2,
)
from google.protobuf.message import Message
from sealmount.type.v1 import sensitivity_pb2

from serving import redaction
from serving.redaction import redact

SECRET = "kaNary-5ecret"
KIND = descriptor_pb2.FieldDescriptorProto
EXTENSION: Any = sensitivity_pb2.sensitivity


def _add(message: Any, name: str, kind: int, *, sensitivity: int = 0, **more: Any) -> None:
    more.setdefault("label", KIND.LABEL_OPTIONAL)
    field = message.field.add(name=name, number=len(message.field) + 1, type=kind, **more)
    if sensitivity:
        field.options.Extensions[EXTENSION] = sensitivity


def _entry(message: Any, name: str, **value: Any) -> str:
    entry = message.nested_type.add(name=name)
    entry.options.map_entry = True
    _add(entry, "key", KIND.TYPE_STRING)
    _add(entry, "value", **value)
    return f".probe.redaction.{message.name}.{name}"


def _build() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="probe/redaction.proto", package="probe.redaction", syntax="proto3"
    )
    file.dependency.extend(
        module.DESCRIPTOR.name for module in (sensitivity_pb2, any_pb2, timestamp_pb2, struct_pb2)
    )
    _leaf(file)
    _root(file)
    descriptor_pool.Default().Add(file)
    found = descriptor_pool.Default().FindMessageTypeByName("probe.redaction.Root")
    return message_factory.GetMessageClass(found)


def _leaf(file: Any) -> None:
    leaf = file.message_type.add(name="Leaf")
    _add(leaf, "plain", KIND.TYPE_STRING)
    _add(leaf, "sealed", KIND.TYPE_STRING, sensitivity=1)
    _add(leaf, "bearer", KIND.TYPE_STRING, sensitivity=2)
    _add(leaf, "public_key", KIND.TYPE_STRING, sensitivity=3)
    _add(leaf, "later_level", KIND.TYPE_STRING, sensitivity=9)
    _add(leaf, "data", KIND.TYPE_BYTES)
    _add(leaf, "count", KIND.TYPE_INT64)
    _add(leaf, "redacted", KIND.TYPE_STRING)
    leaf.field[-1].options.debug_redact = True


def _root(file: Any) -> None:
    root = file.message_type.add(name="Root")
    of_leaf: dict[str, Any] = {"type_name": ".probe.redaction.Leaf"}
    many: dict[str, Any] = {"label": KIND.LABEL_REPEATED}
    _add(root, "leaf", KIND.TYPE_MESSAGE, **of_leaf)
    _add(root, "leaves", KIND.TYPE_MESSAGE, **of_leaf, **many)
    _add(root, "sealed_leaf", KIND.TYPE_MESSAGE, sensitivity=1, **of_leaf)
    _add(root, "sealed_leaves", KIND.TYPE_MESSAGE, sensitivity=1, **of_leaf, **many)
    _add(root, "urls", KIND.TYPE_STRING, sensitivity=2, **many)
    texts = _entry(root, "TextsEntry", kind=KIND.TYPE_STRING)
    _add(root, "texts", KIND.TYPE_MESSAGE, type_name=texts, **many)
    by_key = _entry(root, "ByKeyEntry", kind=KIND.TYPE_MESSAGE, **of_leaf)
    _add(root, "by_key", KIND.TYPE_MESSAGE, type_name=by_key, **many)
    hidden = _entry(root, "HiddenEntry", kind=KIND.TYPE_MESSAGE, **of_leaf)
    _add(root, "hidden", KIND.TYPE_MESSAGE, sensitivity=1, type_name=hidden, **many)
    inside = _entry(root, "InsideEntry", kind=KIND.TYPE_STRING, sensitivity=2)
    _add(root, "inside", KIND.TYPE_MESSAGE, type_name=inside, **many)
    root.oneof_decl.add(name="material")
    _add(root, "open_choice", KIND.TYPE_MESSAGE, oneof_index=0, **of_leaf)
    _add(root, "sealed_choice", KIND.TYPE_MESSAGE, sensitivity=1, oneof_index=0, **of_leaf)
    _add(root, "any", KIND.TYPE_MESSAGE, type_name=".google.protobuf.Any")
    _add(root, "time", KIND.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp")
    _add(root, "struct", KIND.TYPE_MESSAGE, type_name=".google.protobuf.Struct")
    _add(root, "deep", KIND.TYPE_MESSAGE, type_name=".probe.redaction.Root")


Root: Any = _build()


def shown(message: Message) -> str:
    return json.dumps(redact(message))


def full_leaf() -> dict[str, Any]:
    return {
        "plain": "p",
        "sealed": SECRET,
        "bearer": SECRET,
        "public_key": "k",
        "later_level": SECRET,
        "data": SECRET.encode(),
        "count": 3,
        "redacted": SECRET,
    }


LEAF_SHOWN = {
    "plain": "p",
    "sealed": "[SEALED]",
    "bearer": "[BEARER]",
    "public_key": "k",
    "later_level": "[SEALED]",
    "data": "<13 bytes>",
    "count": 3,
    "redacted": "[SEALED]",
}


def test_fields_at_every_depth() -> None:
    message = Root(leaf=full_leaf(), leaves=[full_leaf()], by_key={"k": full_leaf()})
    message.deep.deep.leaf.MergeFrom(message.leaf)
    assert redact(message) == {
        "leaf": LEAF_SHOWN,
        "leaves": [LEAF_SHOWN],
        "by_key": {"k": LEAF_SHOWN},
        "deep": {"deep": {"leaf": LEAF_SHOWN}},
    }


def test_a_marked_field_hides_what_is_beneath() -> None:
    harmless = {"plain": SECRET, "public_key": SECRET}
    message = Root(
        sealed_leaf=harmless,
        sealed_leaves=[harmless, harmless],
        urls=[SECRET],
        hidden={SECRET: harmless},
        inside={"key": SECRET},
        sealed_choice=harmless,
    )
    assert redact(message) == {
        "sealed_leaf": "[SEALED]",
        "sealed_leaves": "[SEALED]",
        "urls": "[BEARER]",
        "hidden": "[SEALED]",
        "inside": {"key": "[BEARER]"},
        "sealed_choice": "[SEALED]",
    }
    assert redact(Root(open_choice={"plain": "p"})) == {"open_choice": {"plain": "p"}}


def test_unknown_fields_are_dropped() -> None:
    raw = b"\xfa\x7f" + bytes([len(SECRET)]) + SECRET.encode()  # field 2047, a string
    message = Root.FromString(raw)
    message.leaf.MergeFromString(raw)
    assert redact(message) == {"leaf": {}}


def test_any_is_a_type_only() -> None:
    packed = any_pb2.Any()
    packed.Pack(Root(texts={"a": SECRET}))
    assert redact(Root(any=packed)) == {"any": "<probe.redaction.Root>"}
    assert redact(Root(any={"type_url": f"{SECRET} {SECRET}"})) == {"any": "<google.protobuf.Any>"}
    assert redact(Root(struct={"fields": {SECRET: {"string_value": SECRET}}})) == {
        "struct": "<google.protobuf.Struct>"
    }


def test_long_and_wide_and_deep_is_cut() -> None:
    assert shown(Root(leaf={"plain": "x" * 10_000})).count("x") == redaction.MAX_TEXT
    leaves = redact(Root(leaves=[{"count": 1}] * 1000))["leaves"]
    assert leaves[-1] == "… 992 more"
    assert len(leaves) == redaction.MAX_ITEMS + 1
    texts = redact(Root(texts={str(n): "v" for n in range(100)}))["texts"]
    assert texts["…"] == "92 more"
    deep = message = Root()
    for _ in range(50):
        message = message.deep
    message.leaf.plain = SECRET
    assert SECRET not in shown(deep)


def test_times() -> None:
    assert redact(Root(time={"seconds": 0})) == {"time": "1970-01-01T00:00:00Z"}
    assert redact(Root(time={"seconds": -(2**62)})) == {"time": "[UNREADABLE]"}


def test_nothing_is_shown_without_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "OPTION", "no.such.option")
    monkeypatch.setattr(redaction, "_plans", {})
    assert redact(Root(leaf={"plain": SECRET})) == {"": "[UNREADABLE]"}
