"""The AuditLog port over a sink: a record is on file before anyone waits no longer for it."""

import asyncio
from datetime import datetime
from typing import Any

from serving.faults import Fault
from signer.audit.record import STOP, boundary, fields_of
from signer.audit.sink import FileSink
from signer.domain.ports import AuditEntry, Clock
from signer.domain.reasons import Reason


class ChainedAuditLog:
    """AUDIT_UNAVAILABLE unless the sink took the record within ``timeout`` seconds."""

    def __init__(self, sink: FileSink, clock: Clock, timeout: float) -> None:
        self._sink = sink
        self._clock = clock
        self._timeout = timeout

    async def start(self, first: dict[str, Any]) -> None:
        """The chain's first record, whose code is known already. Without it nothing is served."""
        await self._put(first)

    async def record(self, entry: AuditEntry) -> None:
        await self._put(fields_of(entry, self._now()))

    async def stop(self, generation: int) -> None:
        """The chain's last record: a chain that lacks it was cut, or its process was killed."""
        await self._put(boundary(STOP, self._now(), generation, None))
        await asyncio.to_thread(self._sink.close, self._timeout)

    def _now(self) -> datetime:
        return self._clock.now()

    async def _put(self, fields: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[bool] = loop.create_future()

        def resolve(written: bool) -> None:
            if not taken.done():
                taken.set_result(written)

        def done(written: bool) -> None:
            try:
                loop.call_soon_threadsafe(resolve, written)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        self._sink.put(fields, done, lambda: not taken.done())
        try:
            async with asyncio.timeout(self._timeout):
                written = await taken
        except TimeoutError:
            written = False
        if not written:
            raise Fault(
                Reason.AUDIT_UNAVAILABLE,
                "The audit log took no record in time; nothing was signed and nothing changed.",
            )
