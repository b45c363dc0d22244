"""What an import says of itself: its phase, its counts and its end, each within a step."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import Health, HealthState, ImportCounts, OperationState, Phase
from catalog.domain.ports import PageCounts
from catalog.jobs.clock import now
from catalog.jobs.faults import JobStopped, bucket_deleted, cancelled
from catalog.jobs.queue import DbosJobQueue
from catalog.storage import jobs as records

State = dict[str, Any]
END = "END"
NOTHING = [0] * 6
_COUNTED = ("listed", "created", "existing", "excluded", "unsignable")
_CREATED = _COUNTED.index("created")


def counts_of(page: PageCounts) -> list[int]:
    """As :meth:`ImportRows.count` takes them, and a step's state keeps them."""
    return [*(getattr(page, name) for name in _COUNTED), page.to_probe]


def added(some: list[int], more: list[int]) -> list[int]:
    return [a + b for a, b in zip(some, more, strict=True)]


class ImportRows:
    """The rows of one import. Each method is part of the transaction that it is given."""

    def __init__(
        self, queue: DbosJobQueue, project: str, operation_id: str, bucket_uid: str
    ) -> None:
        self._queue = queue
        self._project = project
        self._operation_id = operation_id
        self._bucket_uid = bucket_uid

    async def load(self, conn: AsyncConnection) -> records.ImportJob | None:
        return await records.load_import(conn, self._project, self._operation_id)

    async def should_stop(self, conn: AsyncConnection) -> bool:
        return await records.should_stop(conn, self._project, self._operation_id)

    async def set_phase(self, conn: AsyncConnection, phase: Phase) -> None:
        await records.set_phase(conn, self._project, self._operation_id, phase, now())

    async def count(self, conn: AsyncConnection, counted: list[int]) -> None:
        *counts, to_probe = counted
        delta = ImportCounts(**dict(zip(_COUNTED, counts, strict=True)))
        await records.add_progress(conn, self._project, self._operation_id, delta, now(), to_probe)

    async def uncount(self, conn: AsyncConnection, counted: list[int]) -> None:
        """What was counted is another location's. Its rows stay: they were created once."""
        less = [-count for count in counted]
        less[_CREATED] = 0
        await self.count(conn, less)

    async def healthy(self, conn: AsyncConnection) -> None:
        health = Health(HealthState.HEALTHY, "", now())
        await records.set_health(conn, self._bucket_uid, health)

    async def succeed(self, conn: AsyncConnection) -> State:
        await records.finish(
            conn, self._project, self._operation_id, OperationState.SUCCEEDED, None, now()
        )
        await self._queue.import_ended(conn, self._project, self._operation_id)
        return {"phase": END}

    async def end(self, conn: AsyncConnection, stopped: JobStopped) -> State:
        """With the job's fault; without one it was cancelled, or its bucket unmounted."""
        state, fault = OperationState.FAILED, stopped.fault
        if fault is None and await self._unmounted(conn):
            fault = bucket_deleted()
        elif fault is None:
            state, fault = OperationState.CANCELLED, cancelled()
        ended = await records.finish(conn, self._project, self._operation_id, state, fault, now())
        if ended and stopped.health is not None:
            health = Health(stopped.health, fault.reason, now())
            await records.set_health(conn, self._bucket_uid, health)
        await self._queue.import_ended(conn, self._project, self._operation_id)
        return {"phase": END}

    async def hand_on(self, conn: AsyncConnection, state: State, rest: float) -> State:
        """The job goes on as a workflow of its own, and waits until a place is free."""
        if await self.should_stop(conn):
            return await self.end(conn, JobStopped(None))
        # Whoever cancels it now needs no worker: see OperationStore.request_cancel.
        await self.set_phase(conn, Phase.QUEUED)
        await self._queue.continue_import(
            conn, self._project, self._operation_id, self._bucket_uid, state, rest
        )
        return {"phase": END}

    async def _unmounted(self, conn: AsyncConnection) -> bool:
        job = await self.load(conn)
        if job is not None and not job.binding:
            return True
        return await records.tombstone(conn, self._bucket_uid) is not None
