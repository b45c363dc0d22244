"""Looking at operations, waiting for them, ending them."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from catalog.app.desk import Desk
from catalog.app.refusals import not_found
from catalog.domain.model import ItemFailure, Operation
from catalog.domain.names import OperationRef
from catalog.domain.ports import Tx
from catalog.domain.reasons import Reason
from serving.faults import Fault

MAX_WAITS = 64
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 1.0
_FAILURES_AT_ONCE = 10_000


class Operations:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiting: Counter[str] = Counter()

    async def get(self, ref: OperationRef) -> Operation:
        """RESOURCE_NOT_FOUND."""
        async with self._desk.database.read() as tx:
            return await self._found(tx, ref)

    async def list(
        self, project: str, done: bool | None, before: str, limit: int
    ) -> Sequence[Operation]:
        """Newest first, beginning before the id ``before``; only ended ones, or only others."""
        async with self._desk.database.read() as tx:
            return await self._desk.operations.page(tx, project, before, done, limit)

    async def failures(
        self, ref: OperationRef, after: int, limit: int
    ) -> tuple[Operation, Sequence[tuple[int, ItemFailure]]]:
        """The operation and its failures, oldest first, each with its number.

        RESOURCE_NOT_FOUND (the operation).
        """
        async with self._desk.database.read() as tx:
            operation = await self._found(tx, ref)
            failures = await self._desk.operations.failures(
                tx, ref.project, ref.operation_id, after, limit
            )
        return operation, failures

    async def wait(self, who: str, ref: OperationRef, seconds: float) -> Operation:
        """The operation when it has ended, or as it is after ``seconds``.

        RESOURCE_NOT_FOUND, and WAITS_LIMIT_REACHED when ``who`` waits in too many calls already.
        """
        with self._turn(who):
            return await self._ended(ref, seconds)

    @contextlib.contextmanager
    def _turn(self, who: str) -> Iterator[None]:
        # Each of them asks the database every second.
        if self._waiting[who] >= MAX_WAITS:
            raise Fault(
                Reason.WAITS_LIMIT_REACHED,
                "The caller waits in as many calls as it may at a time. Ask GetOperation.",
                {"limit": str(MAX_WAITS)},
            )
        self._waiting[who] += 1
        try:
            yield
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    async def _ended(self, ref: OperationRef, seconds: float) -> Operation:
        clock = asyncio.get_running_loop().time
        until, pause = clock() + seconds, _FIRST_WAIT
        operation = await self.get(ref)
        while not operation.done and (left := until - clock()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_WAIT)
            operation = await self.get(ref)
        return operation

    async def cancel(self, ref: OperationRef) -> None:
        """Asks for the end; what has ended stays as it is. RESOURCE_NOT_FOUND."""
        desk = self._desk
        async with desk.database.write() as tx:
            await self._found(tx, ref)
            await desk.operations.request_cancel(tx, ref.project, ref.operation_id, desk.now())

    async def delete(self, ref: OperationRef) -> None:
        """Forgets an operation that has ended. RESOURCE_NOT_FOUND, OPERATION_UNFINISHED."""
        desk = self._desk
        which = ref.project, ref.operation_id
        async with desk.database.read() as tx:
            _check_done(await self._found(tx, ref))
        deleted = _FAILURES_AT_ONCE
        while deleted == _FAILURES_AT_ONCE:  # a million in one transaction would hold up the others
            async with desk.database.write() as tx:
                deleted = await desk.operations.delete_failures(tx, *which, _FAILURES_AT_ONCE)
        async with desk.database.write() as tx:
            _check_done(await self._found(tx, ref))
            await desk.operations.delete(tx, *which)

    async def _found(self, tx: Tx, ref: OperationRef) -> Operation:
        found = await self._desk.operations.get(tx, ref.project, ref.operation_id)
        if found is None:
            raise not_found(ref.name)
        return found


def _check_done(operation: Operation) -> None:
    if not operation.done:
        raise Fault(
            Reason.OPERATION_UNFINISHED,
            "The operation hasn't ended, so it can't be deleted. Cancel it first.",
        )
