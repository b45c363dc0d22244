"""Clearing up: operations of jobs that broke are ended, and what is long over is forgotten.

In chunks, each a transaction of its own, and so many at a time, so that nobody waits for it.
"""

from datetime import timedelta

import sqlalchemy as sa
from dbos import DBOSClient, WorkflowStatus
from dbos._schemas.datasource_database import datasource_outputs_table
from sqlalchemy.ext.asyncio import AsyncEngine

from catalog.domain.model import OperationState
from catalog.jobs.clock import now
from catalog.jobs.engine import SCHEMA
from catalog.jobs.faults import internal
from catalog.jobs.queue import IMPORTS, DbosJobQueue
from catalog.jobs.tables import attempts
from catalog.storage import jobs as records
from serving.database import write_tx

_KEPT = timedelta(hours=1)
_CHUNK = 200
_CHUNKS = 10
_ROWS = 2_000
_GIVEN_UP = ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class Sweeper:
    """``retention`` is how long an operation is kept after its end."""

    def __init__(
        self, engine: AsyncEngine, client: DBOSClient, queue: DbosJobQueue, retention: timedelta
    ) -> None:
        self._engine = engine
        self._client = client
        self._queue = queue
        self._retention = retention
        schema = SCHEMA if engine.dialect.name == "postgresql" else None
        self._checkpoints = datasource_outputs_table(schema)

    async def sweep(self) -> None:
        await self._end_given_up()
        await self._forget_workflows()
        await self._forget_operations()

    async def _end_given_up(self) -> None:
        """End the operations of workflows that DBOS gave up."""
        for at in range(_CHUNKS):
            found = await self._client.list_workflows_async(
                status=_GIVEN_UP,
                name=IMPORTS,
                limit=_CHUNK,
                offset=at * _CHUNK,
                load_input=False,
                load_output=False,
            )
            async with write_tx(self._engine) as conn:
                for workflow in found:
                    project, operation_id, _ = workflow.workflow_id.split("/")
                    await records.finish(
                        conn, project, operation_id, OperationState.FAILED, internal(), now()
                    )
                    await self._queue.import_ended(conn, project, operation_id)
            if len(found) < _CHUNK:
                return

    async def _forget_workflows(self) -> None:
        """DBOS's own rows: it collects none by itself."""
        for _ in range(_CHUNKS):
            over = await self._client.list_workflows_async(
                status=["SUCCESS", *_GIVEN_UP],
                completed_before=(now() - _KEPT).isoformat(),
                limit=_CHUNK,
                load_input=False,
                load_output=False,
            )
            if over:
                await self._forget(over)
            if len(over) < _CHUNK:
                return

    async def _forget(self, over: list[WorkflowStatus]) -> None:
        ids = [workflow.workflow_id for workflow in over]
        # Before the workflow, or a crash would leave rows that nobody finds again. A workflow that
        # was given up leaves its checkpoints; one that ended in good order has none.
        async with write_tx(self._engine) as conn:
            for table in (self._checkpoints, attempts):
                await conn.execute(sa.delete(table).where(table.c.workflow_id.in_(ids)))
        await self._client.delete_workflows_async(ids)

    async def _forget_operations(self) -> None:
        before = now() - self._retention
        for _ in range(_CHUNKS):
            async with write_tx(self._engine) as conn:
                if not await records.drop_ended_chunk(conn, before, _ROWS):
                    return
