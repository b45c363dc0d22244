"""An audit file that fails: what was refused is not on it, and what follows follows."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.faults import Fault
from signer.audit.log import ChainedAuditLog
from signer.audit.record import Chain, start_of
from signer.audit.sink import FileSink
from signer.domain.reasons import Reason
from tests.fakes.audit_log import CLOCK, MAC, NOW, Log, entry


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "audit.jsonl")


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


async def test_a_hanging_file_holds_a_bounded_number_of_records(tmp_path: Path) -> None:
    """And what nobody waits for any more isn't written once it wakes up."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(pipe, Chain("one", MAC), durable=False)
    log = ChainedAuditLog(sink, CLOCK, 0.5)
    big = entry(1, keys=["k" * 200] * 1000)
    waiting = [asyncio.ensure_future(log.record(big))]
    await asyncio.sleep(0.1)  # the first one is in the pipe's mouth by now
    waiting += [asyncio.ensure_future(log.record(big)) for _ in range(200)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, Fault) for answer in answers)
    assert sink._waiting <= 50_000
    read = b""
    for _ in range(200):
        try:
            read += os.read(reader, 1 << 16)
        except BlockingIOError:
            await asyncio.sleep(0.005)
    sink.close(2.0)
    os.close(reader)
    assert read.count(b'"seq":') <= 1
