"""An audit log on paper, for tests: written by the real sink, anchored in a dictionary.

log = Log(path)
await log.write("writer-1", 20)
log.verify().problems            # []
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signer.audit.log import ChainedAuditLog
from signer.audit.record import Chain, start_of
from signer.audit.sink import FileSink
from signer.audit.verify import Report, last_record, verify
from signer.domain.ports import AuditEntry, Clock, Step
from tests.fakes.signer_databases import integrity

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)
MAC = integrity().audit_mac


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
