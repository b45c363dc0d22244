"""The audit log: chains that can't be edited, and a file that is never left half written."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from serving.faults import Fault
from signer.audit.log import ChainedAuditLog
from signer.audit.record import Chain, start_of
from signer.audit.sink import FileSink
from signer.audit.verify import Report, last_record, verify
from signer.domain.ports import AuditEntry, Clock, Step
from signer.domain.reasons import Reason
from tests.fakes.signer_databases import integrity

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)
MAC = integrity().audit_mac
SCHEMA = {
    *("step", "time", "rpc", "caller", "on_behalf_of", "request", "project", "resource", "gen"),
    *("revision", "credential", "method", "audience", "keys", "versions", "not_after", "reason"),
    *("v", "writer", "seq", "prev", "mac"),
}


class FixedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


CLOCK: Clock = FixedClock()


def entry(number: int, **changes: Any) -> AuditEntry:
    everything: dict[str, Any] = {
        "step": Step.SIGNED,
        "rpc": "SignObjectUrl",
        "caller": "spiffe://example.org/x",
        "project": "acme",
        "resource": "projects/acme/bindings/photos",
        "generation": number,
        "keys": [f"{number}.jpg"],
        "not_after": NOW,
    }
    return AuditEntry(**everything | changes)


class Log:
    """A file with the anchors that the database would hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.anchors: dict[str, bytes] = {}

    async def write(
        self, writer: str, count: int, *, stop: bool = True, durable: bool = False
    ) -> None:
        last, seen = last_record(self.path)
        sink = FileSink(self.path, Chain(writer, MAC), durable=durable)
        first, self.anchors[writer] = start_of(writer, MAC, NOW, seen, last)
        log = ChainedAuditLog(sink, CLOCK, 5.0)
        await log.start(first)
        await asyncio.gather(*(log.record(entry(seen + n + 1)) for n in range(count)))
        if stop:
            await log.stop(seen + count)
        else:
            sink.close(5.0)

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)

    def rewrite(self, lines: list[bytes]) -> Report:
        self.path.write_bytes(b"".join(lines))
        return self.verify()

    def verify(self) -> Report:
        return verify(self.path, MAC, self.anchors)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "audit.jsonl")


async def test_what_was_written_is_whole(log: Log) -> None:
    await log.write("one", 20)
    await log.write("two", 3, durable=True)
    report = log.verify()
    assert (report.problems, report.records, report.chains) == ([], 27, 2)
    assert (report.generation, report.open_ends) == (23, 0)


async def test_a_record_has_every_field_each_time(log: Log) -> None:
    await log.write("one", 2)
    records = [json.loads(line) for line in log.lines()]
    assert [set(record) for record in records[1:3]] == [SCHEMA, SCHEMA]
    assert [record["seq"] for record in records] == [0, 1, 2, 3]
    assert [record["step"] for record in records] == ["START", "SIGNED", "SIGNED", "STOP"]


Edit = Callable[[list[bytes]], list[bytes]]
EDITS: dict[str, Edit] = {
    "edited": lambda x: [*x[:2], x[2].replace(b"2.jpg", b"9.jpg"), *x[3:]],
    "another caller": lambda x: [*x[:2], x[2].replace(b"org/x", b"org/y"), *x[3:]],
    "cut in the middle": lambda x: x[:2] + x[3:],
    "cut at the beginning": lambda x: x[1:],
    "beginning of the second chain cut": lambda x: x[:6] + x[7:],
    "second chain's end and third's start cut": lambda x: x[:9] + x[11:],
    "a whole chain cut": lambda x: x[:6] + x[10:],
    "swapped": lambda x: [x[0], x[2], x[1], *x[3:]],
    "put in twice": lambda x: [*x[:3], x[2], *x[3:]],
    "chains swapped": lambda x: x[6:10] + x[:6] + x[10:],
    "a blank line": lambda x: [*x[:2], b"\n", *x[2:]],
    "garbage": lambda x: [*x[:2], b"\xff{]\n", *x[2:]],
    "nested": lambda x: [*x[:2], b"[" * 100_000 + b"\n", *x[2:]],
    "a lone surrogate": lambda x: [*x[:2], b'{"writer":"\\ud800","gen":"x"}\n', *x[2:]],
    "numbers that are none": lambda x: [
        *x[:2],
        b'{"writer":"one","seq":"x","gen":"1e9","prev":"","mac":""}\n',
        *x[2:],
    ],
    "code taken off": lambda x: [*x[:2], _without(x[2], "mac"), *x[3:]],
    "made up": lambda x: [*x, _invented()],
}


def _without(line: bytes, name: str) -> bytes:
    record = json.loads(line)
    del record[name]
    return json.dumps(record).encode() + b"\n"


def _invented() -> bytes:
    """A chain of somebody who has no key."""
    chain = Chain("mine", lambda previous, record: bytes(32))
    return chain.link({"step": "START", "gen": 5, "after": None})


@pytest.mark.parametrize("edit", EDITS)
async def test_edits_are_found(log: Log, edit: str) -> None:
    for writer, count in (("one", 4), ("two", 2), ("three", 2)):
        await log.write(writer, count)
    assert log.verify().problems == []
    assert log.rewrite(EDITS[edit](log.lines())).problems != []


async def test_a_foreign_chain_with_the_right_keys_is_found(log: Log, tmp_path: Path) -> None:
    """Another file of the same deployment, or an old one: the database knows each beginning."""
    await log.write("one", 2)
    other = Log(tmp_path / "other.jsonl")
    await other.write("two", 2)
    assert log.rewrite(log.lines() + other.lines()).problems
    log.anchors.update(other.anchors)
    assert log.verify().problems  # it doesn't name the end of the chain before it, either


async def test_a_cut_end_is_an_open_end(log: Log) -> None:
    await log.write("one", 5)
    report = log.rewrite(log.lines()[:-2])
    assert (report.problems, report.open_ends) == ([], 1)


@pytest.mark.parametrize("left", [1, 10, 200])
async def test_half_a_line_that_a_kill_left_is_mended(log: Log, left: int) -> None:
    await log.write("one", 3, stop=False)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + log.lines()[-1][:left])
    await log.write("two", 2)
    assert log.path.read_bytes().startswith(whole)
    report = log.verify()
    assert (report.problems, report.chains, report.open_ends) == ([], 2, 1)


async def test_a_file_that_is_nothing_but_half_a_line_is_begun_anew(log: Log) -> None:
    log.path.write_bytes(b"x" * 200_000)
    await log.write("one", 1)
    assert log.verify().problems == []


async def test_a_second_writer_is_refused(log: Log) -> None:
    sink = FileSink(log.path, Chain("one", MAC), durable=False)
    with pytest.raises(BlockingIOError):
        FileSink(log.path, Chain("two", MAC), durable=False)
    sink.close(5.0)


def test_the_file_is_its_owners_alone(log: Log) -> None:
    FileSink(log.path, Chain("one", MAC), durable=False).close(5.0)
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_the_last_generation_is_found_at_the_end_of_a_hostile_file(log: Log) -> None:
    log.path.write_bytes(b'{"gen":"abc"}\n{"gen":[1]}\n{"gen":7,"mac":"m"}\n{"gen":null}\n[]\n{')
    last, generation = last_record(log.path)
    assert generation == 7
    assert last == {"writer": None, "seq": None, "mac": None}
    assert last_record(log.path.with_name("missing")) == (None, 0)


class TestFailingFile:
    @staticmethod
    async def refused(log: ChainedAuditLog) -> str:
        with pytest.raises(Fault) as caught:
            await log.record(entry(1))
        return caught.value.reason

    async def test_a_full_disk(self) -> None:
        sink = FileSink(Path("/dev/full"), Chain("one", MAC), durable=False)
        log = ChainedAuditLog(sink, CLOCK, 5.0)
        assert await self.refused(log) == Reason.AUDIT_UNAVAILABLE
        sink.close(5.0)

    @pytest.mark.parametrize("call", ["write", "fsync"])
    async def test_a_disk_that_fails_for_a_while(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """What was refused is not on file, and what comes after follows what came before."""
        sink = FileSink(log.path, Chain("one", MAC), durable=True)
        first, log.anchors["one"] = start_of("one", MAC, NOW, 0, None)
        chained = ChainedAuditLog(sink, CLOCK, 5.0)
        await chained.start(first)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, _half_then_fail(getattr(os, call), call))
            assert await self.refused(chained) == Reason.AUDIT_UNAVAILABLE
        await chained.record(entry(2))
        await chained.stop(2)
        report = log.verify()
        assert (report.problems, report.records) == ([], 3)
        assert b"1.jpg" not in log.path.read_bytes()

    @pytest.mark.timeout(20)
    async def test_a_pipe_that_nobody_reads(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        sink = FileSink(tmp_path / "pipe", Chain("one", MAC), durable=False)
        log = ChainedAuditLog(sink, CLOCK, 0.3)
        big = entry(1, keys=["k" * 1000] * 1000)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Fault) as caught:
            await log.record(big)
        assert caught.value.reason == Reason.AUDIT_UNAVAILABLE
        assert asyncio.get_running_loop().time() - began < 2
        assert sink.hangs()
        with drained(tmp_path / "pipe"):
            sink.close(5.0)
        assert not sink.hangs()

    async def test_a_record_that_cannot_be_written_down(self, log: Log) -> None:
        sink = FileSink(log.path, Chain("one", MAC), durable=False)
        chained = ChainedAuditLog(sink, CLOCK, 5.0)
        with pytest.raises(Fault):
            await chained.record(entry(1, on_behalf_of="\ud800"))
        await chained.record(entry(2))
        sink.close(5.0)
        assert len(log.lines()) == 1


def _half_then_fail(real: Callable[..., Any], call: str) -> Callable[..., Any]:
    def fail(file: int, *data: Any) -> int:
        if threading.current_thread().name != "audit":
            return int(real(file, *data) or 0)
        if call == "write" and len(data[0]) > 8:
            return int(real(file, data[0][: len(data[0]) // 2]))
        raise OSError(5, "Input/output error")

    return fail


class drained:  # noqa: N801  # reads like the function that it stands in for
    """Reads a pipe until the block ends."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._done.wait(0.001):
            for _ in self._chunks():
                pass

    def _chunks(self) -> Iterator[bytes]:
        try:
            while chunk := os.read(self._file, 1 << 16):
                yield chunk
        except BlockingIOError:
            return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join(5)
        os.close(self._file)
