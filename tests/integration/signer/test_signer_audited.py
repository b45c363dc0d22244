"""Audit first: what isn't on record doesn't leave, and what is on record gives nothing away."""

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from signer.audit.verify import Report, verify
from signer.bootstrap import database_of, open_integrity
from signer.sealing.keyring import LocalKeyring
from signer.storage.founding import Founding
from tests.fakes.signer_requests import SECRET, mounted, sign, store
from tests.fakes.signer_rig import Rig, RigClock, Running

PHOTOS, MAIN = "projects/acme/bindings/photos", "projects/acme/credentials/main"


async def verified(rig: Rig) -> Report:
    database = database_of(rig.database)
    founding = Founding(database)
    keys = await open_integrity(founding, LocalKeyring(rig.keyring), "test", RigClock())
    report = verify(rig.audit_file, keys.audit_mac, await founding.anchors())
    await database.close()
    return report


def records(rig: Rig) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rig.audit_file.read_bytes().splitlines()]


async def test_the_log_tells_who_did_what_and_holds_no_url(rig: Rig) -> None:
    async with rig.running() as running:
        made = await mounted(running.acme)
        signed = await running.reader.ok(
            "SignObjectUrl", sign("a b.jpg", version="v1", on_behalf_of="user-7")
        )
        await running.catalog.ok("SignListUrl", binding=PHOTOS, prefix="2026/")
        await running.acme.ok("DeleteBinding", name=PHOTOS, etag=made.etag)
    found = records(rig)
    steps = [(record["step"], record.get("rpc", ""), record["gen"]) for record in found]
    assert steps == [
        ("START", "", 0),
        ("INTENT", "StoreCredential", 0),
        ("DONE", "StoreCredential", 1),
        ("INTENT", "CreateBinding", 0),
        ("DONE", "CreateBinding", 2),
        ("SIGNED", "SignObjectUrl", 2),
        ("SIGNED", "SignListUrl", 2),
        ("INTENT", "DeleteBinding", 0),
        ("DONE", "DeleteBinding", 3),
        ("STOP", "", 3),
    ]
    one = found[5]
    assert one["caller"] == "spiffe://example.org/reader"
    assert (one["on_behalf_of"], one["project"], one["resource"]) == ("user-7", "acme", PHOTOS)
    assert (one["keys"], one["versions"], one["method"]) == (["a b.jpg"], ["v1"], "GET")
    assert (one["revision"], one["credential"]) == (f"{PHOTOS}/revisions/1", MAIN)
    assert one["not_after"].startswith("2026-02-03T12:")
    assert (found[6]["method"], found[6]["keys"]) == ("LIST", ["2026/"])
    text = rig.audit_file.read_text()
    for hidden in ("://minio", "X-Amz", "Signature", SECRET, signed.url[-64:], "AKIAIOSFODNN7"):
        assert hidden not in text
    report = await verified(rig)
    assert (report.problems, report.generation, report.open_ends) == ([], 3, 0)


async def test_a_refused_change_leaves_its_intent_and_no_generation(rig: Rig) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
        await running.acme.refused("StoreCredential", store())
    assert [r["step"] for r in records(rig)][-2:] == ["INTENT", "STOP"]


async def test_chains_of_restarts_hang_together(rig: Rig) -> None:
    for _ in range(3):
        async with rig.running() as running:
            await running.acme.call("StoreCredential", store())
    report = await verified(rig)
    assert (report.problems, report.chains) == ([], 3)


async def unchanged(running: Running) -> dict[str, Any]:
    """All changing RPCs and all signing ones are refused, and nothing changed."""
    made = await running.acme.ok("GetBinding", name=PHOTOS)
    refused = {
        "StoreCredential": store(credential_id="new"),
        "DisableCredential": {"name": MAIN},
        "RotateBinding": {"name": PHOTOS, "credential": MAIN, "etag": made.etag},
        "RollbackBinding": {"name": PHOTOS, "etag": made.etag},
        "DeleteBinding": {"name": PHOTOS},
        "HoldBinding": {"name": PHOTOS, "holder": "projects/acme/buckets/b"},
        "SignObjectUrl": sign(),
        "BatchSignObjectUrls": {"binding": PHOTOS, "objects": [{"key": "k"}]},
        "SignListUrl": {"binding": PHOTOS},
    }
    began = asyncio.get_running_loop().time()
    reasons = {}
    for method, request in refused.items():
        fields = request if isinstance(request, dict) else {}
        answer = await running.acme.call(method, None if fields else request, **fields)
        reasons[method] = answer.reason
        assert b"X-Amz" not in answer.everything()
    assert asyncio.get_running_loop().time() - began < 2.0 * len(refused)
    assert await running.acme.ok("GetBinding", name=PHOTOS) == made
    listed = await running.acme.ok("ListCredentials", parent="projects/acme")
    assert [(c.name, c.state) for c in listed.credentials] == [(MAIN, 1)]
    return reasons


@pytest.mark.parametrize("error", [28, 5, 30], ids=["disk full", "broken disk", "read-only"])
async def test_without_a_record_nothing_is_signed_and_nothing_changed(
    rig: Rig, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def write(file: int, data: Any) -> int:
        if Path(f"/proc/self/fd/{file}").readlink() == rig.audit_file:
            raise OSError(error, os.strerror(error))
        return real(file, data)

    async with rig.running() as running:
        await mounted(running.acme)
        with monkeypatch.context() as patch:
            patch.setattr("signer.audit.sink.os.write", write)
            assert set((await unchanged(running)).values()) == {"AUDIT_UNAVAILABLE"}
        assert (await running.acme.ok("SignObjectUrl", sign())).url
    assert (await verified(rig)).problems == []


@pytest.mark.timeout(60)
async def test_a_hanging_log_refuses_within_the_timeout(rig: Rig, tmp_path: Path) -> None:
    """A pipe whose reader went to sleep."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with rig.running(audit_file=pipe, audit_timeout=0.3) as running:
            await mounted(running.acme)
            _fill(pipe)
            assert set((await unchanged(running)).values()) == {"AUDIT_UNAVAILABLE"}
            _drain(reader)
            await asyncio.sleep(0.1)
            _drain(reader)
            assert (await running.acme.ok("SignObjectUrl", sign())).url
    finally:
        os.close(reader)


def _fill(pipe: Path) -> None:
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(writer, b"x" * size)
        except BlockingIOError:
            continue
    os.close(writer)


def _drain(reader: int) -> None:
    try:
        while os.read(reader, 1 << 16):
            pass
    except BlockingIOError:
        return


@pytest.mark.parametrize("path", ["/dev/full", "folder", "missing/audit.jsonl", "locked"])
async def test_without_a_log_it_does_not_serve(rig: Rig, tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    audit = tmp_path / path
    async with rig.running(audit_file=tmp_path / "first.jsonl") as first:
        # Two writers would cut into each other's records.
        audit = first.config.audit_file if path == "locked" else audit
        async with rig.running(wait=False, audit_file=audit) as running:
            await asyncio.sleep(0.2)
            assert (await running.acme.refused("SignObjectUrl", sign())).reason == "SEALED"
        await mounted(first.acme)


@pytest.mark.timeout(60)
async def test_a_log_that_hangs_at_the_start_is_waited_for_with_one_thread(
    rig: Rig, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keeper = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    _fill(pipe)
    before = _audit_threads()
    async with rig.running(wait=False, audit_file=pipe, audit_timeout=0.05) as running:
        await asyncio.sleep(0.8)
        assert _audit_threads() - before <= 1
        assert (await running.acme.refused("SignObjectUrl", sign())).reason == "SEALED"
        _drain(keeper)
        await running.until_open()
    os.close(keeper)


def _audit_threads() -> int:
    return sum(thread.name == "audit" for thread in threading.enumerate())


async def test_half_a_line_that_a_kill_left_is_mended_at_the_start(rig: Rig) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
    whole = rig.audit_file.read_bytes()
    rig.audit_file.write_bytes(whole + whole[:37])
    async with rig.running() as running:
        await running.acme.ok("SignObjectUrl", sign())
    assert rig.audit_file.read_bytes().startswith(whole)
    assert (await verified(rig)).problems == []
