"""DBOS's workflows, as thin as they can be: count the attempt, run the job, end it if it broke.

What a workflow raises DBOS stores as text, so nothing is raised but what ends the execution
without ending the job: cancellation while the worker drains.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS
from sqlalchemy.exc import InterfaceError, OperationalError

from catalog.domain.model import OperationState
from catalog.jobs.attempts import Attempt, CountedSteps
from catalog.jobs.clock import now
from catalog.jobs.faults import internal
from catalog.jobs.imports import ImportRun
from catalog.jobs.purge import PurgeRun
from catalog.jobs.queue import IMPORTS, PURGES
from catalog.jobs.steps import StepPostponed
from catalog.jobs.tools import Tools
from catalog.storage import jobs as records
from serving.database import write_tx
from serving.scrub import describe

_logger = logging.getLogger("sealmount.jobs")
State = dict[str, Any]


class Runner:
    """Runs jobs in this process. ``drain`` ends the executions, which others then go on with."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._running: set[asyncio.Task[Any]] = set()
        self.left: set[str] = set()
        """Workflows that were left where they are, for want of the database: to be resumed."""
        self._draining = False

    def register(self) -> None:
        """Tell DBOS what the queued names mean. Once per process, before it is launched."""
        # Attempts are counted by us: DBOS's own count ends a workflow without ending the operation.
        DBOS.workflow(name=IMPORTS, max_recovery_attempts=None)(self._import)
        DBOS.workflow(name=PURGES, max_recovery_attempts=None)(self._purge)

    async def drain(self) -> None:
        """Take no more jobs, and stop those that run where they are."""
        self._draining = True
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=10.0)

    @property
    def _import(self) -> Callable[..., Awaitable[State]]:
        async def imports(project: str, operation_id: str, bucket_uid: str, state: State) -> State:
            async def job(steps: CountedSteps) -> None:
                run = ImportRun(self._tools, steps, project, operation_id, bucket_uid)
                try:
                    await run.run(state)
                finally:
                    await run.close()

            async def broke() -> None:
                async with write_tx(self._tools.engine) as conn:
                    await records.finish(
                        conn, project, operation_id, OperationState.FAILED, internal(), now()
                    )
                    await self._tools.queue.import_ended(conn, project, operation_id)

            fields = {"project": project, "operation": operation_id}
            return await self._execute(fields, job, broke)

        return imports

    @property
    def _purge(self) -> Callable[..., Awaitable[State]]:
        async def purges(bucket_uid: str, state: State) -> State:
            async def job(steps: CountedSteps) -> None:
                await PurgeRun(self._tools, steps, bucket_uid).run(state)

            async def broke() -> None:
                """Nobody waits for a purge; the log says that it broke."""

            return await self._execute({"bucket": bucket_uid}, job, broke)

        return purges

    async def _execute(
        self,
        fields: dict[str, str],
        job: Callable[[CountedSteps], Awaitable[None]],
        broke: Callable[[], Awaitable[None]],
    ) -> State:
        workflow_id = DBOS.workflow_id or ""
        began = time.monotonic()
        async with self._tracked(workflow_id):
            attempt = Attempt(self._tools.engine, workflow_id)
            if await attempt.begin() > self._tools.settings.attempts:
                _logger.error("a job is given up", extra={"fields": fields})
                await broke()
            else:
                try:
                    await job(CountedSteps(self._tools.steps, attempt))
                except Exception as error:  # noqa: BLE001 - DBOS would store its text
                    about = {**fields, **describe(error)}
                    _logger.error("a job broke", extra={"fields": about})  # noqa: TRY400
                    await broke()
            await attempt.end()
        took = {"workflow": workflow_id, "seconds": round(time.monotonic() - began, 3)}
        _logger.info("a job ended, or was handed on", extra={"fields": {**fields, **took}})
        return {}

    @asynccontextmanager
    async def _tracked(self, workflow_id: str) -> AsyncIterator[None]:
        task = asyncio.current_task()
        if self._draining or task is None:
            # The workflow stays where it is, for the next worker.
            raise asyncio.CancelledError
        self._running.add(task)
        try:
            yield
        except (OperationalError, InterfaceError, OSError, StepPostponed) as error:
            about = {"workflow": workflow_id, **describe(error)}
            _logger.warning("a job waits for the database", extra={"fields": about})
            self.left.add(workflow_id)
        finally:
            self._running.discard(task)
        if workflow_id in self.left:
            raise asyncio.CancelledError
