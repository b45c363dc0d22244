"""For whom a caller asks: one rule in both services, so that no job fails for what was accepted."""

import json
from datetime import UTC, datetime

import pytest

from catalog.transport import reading
from serving.faults import Fault
from signer.app.asked import ObjectRef, Options, check_options, object_fault
from signer.audit.record import Chain, fields_of
from signer.domain.ports import AuditEntry, Step
from signer.domain.signing import Method

TAKEN = (
    "",
    "user-7",
    "x\u00a0y",
    "\U0001f468\u200d\U0001f469",
    "می\u200cخواهم",
    "\u200fשלום",
    "a\u2028b",
    "\ufeff",
    "é" * 128,
)
REFUSED = ("a\nb", "\0", "\x1b[31m", "a\x7f", "a\x85b", "a\x9f", "é" * 129, "a" * 257)


def _fields(fault: Fault) -> list[str]:
    return [one.field for one in fault.violations]


@pytest.mark.parametrize("text", TAKEN)
def test_both_take_it_and_the_log_keeps_it_in_a_line(text: str) -> None:
    assert reading.on_behalf_of(text) == text
    check_options(Options(), text)
    assert object_fault("", ObjectRef("a", version=text), Method.GET) is None
    now = datetime(2026, 3, 1, tzinfo=UTC)
    entry = AuditEntry(Step.SIGNED, "SignObjectUrl", "spiffe://x/y", "acme", "", text)
    line = Chain("one", lambda _, __: b"mac").link(fields_of(entry, now))
    assert line.count(b"\n") == len(line.splitlines()) == 1
    assert json.loads(line)["on_behalf_of"] == text


@pytest.mark.parametrize("text", REFUSED)
def test_both_refuse_it_and_name_the_field(text: str) -> None:
    with pytest.raises(Fault) as catalog:
        reading.on_behalf_of(text)
    with pytest.raises(Fault) as signer:
        check_options(Options(), text)
    assert _fields(catalog.value) == _fields(signer.value) == ["on_behalf_of"]


@pytest.mark.parametrize("text", ["a\nb", "\x9f", "v" * 1025])
def test_a_version_has_no_control_characters(text: str) -> None:
    assert object_fault("", ObjectRef("a", version=text), Method.GET) is not None
