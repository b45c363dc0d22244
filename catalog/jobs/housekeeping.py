"""What a worker does beside jobs: beats, gives dead workers' jobs back, and clears up."""

import asyncio
import logging
from datetime import timedelta

from dbos import DBOSClient, WorkflowStatus
from sqlalchemy.ext.asyncio import AsyncEngine

from catalog.domain.model import OperationState
from catalog.jobs.clock import now
from catalog.jobs.faults import internal
from catalog.jobs.queue import IMPORTS
from catalog.jobs.runner import Runner
from catalog.jobs.workers import Roster
from catalog.storage import jobs as records
from serving.database import write_tx
from serving.scrub import describe

_logger = logging.getLogger("sealmount.jobs")
_KEPT = timedelta(hours=1)
_SWEEP = 200
_SWEEPS_APART = 12  # beats


class Housekeeping:
    """Runs until it is cancelled. What fails is logged and done again at the next beat."""

    def __init__(
        self,
        engine: AsyncEngine,
        client: DBOSClient,
        roster: Roster,
        runner: Runner,
        beat_seconds: float,
    ) -> None:
        self._engine = engine
        self._client = client
        self._roster = roster
        self._runner = runner
        self._beat_seconds = beat_seconds

    async def run(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(self._beat_seconds)
            try:
                await self._roster.beat()
                await self._resume_left()
                await self._take_over()
                if beats % _SWEEPS_APART == 0:
                    await self._sweep()
            except Exception as error:  # noqa: BLE001 - the next beat tries again
                _logger.warning("housekeeping failed", extra={"fields": describe(error)})
            beats += 1

    async def close(self, worker_id: str) -> None:
        """This worker goes, and leaves no job behind."""
        count = await self.give_back(worker_id)
        await self._roster.leave()
        fields = {"worker": worker_id, "given_back": count}
        _logger.info("worker stopped", extra={"fields": fields})

    async def give_back(self, worker_id: str) -> int:
        """Put a worker's begun jobs back into their queues; how many there were."""
        pending = await self._client.list_workflows_async(
            status="PENDING", executor_id=worker_id, load_input=False, load_output=False
        )
        for workflow in pending:
            await self._resume(workflow)
        return len(pending)

    async def _resume(self, workflow: WorkflowStatus) -> None:
        # Without the queue's name it would go to a queue without our limits.
        await self._client.resume_workflow_async(
            workflow.workflow_id, queue_name=workflow.queue_name or IMPORTS
        )

    async def _take_over(self) -> None:
        dead = await self._roster.claim_dead()
        if dead is not None:
            count = await self.give_back(dead)
            await self._roster.bury(dead)
            fields = {"worker": dead, "jobs": count}
            _logger.warning("took over a dead worker's jobs", extra={"fields": fields})

    async def _resume_left(self) -> None:
        left = sorted(self._runner.left)
        if not left:
            return
        found = await self._client.list_workflows_async(
            workflow_ids=left, status="PENDING", load_input=False, load_output=False
        )
        self._runner.left.clear()
        for workflow in found:
            await self._resume(workflow)

    async def _sweep(self) -> None:
        """End the operations of workflows that DBOS gave up, and forget what is long over."""
        given_up = await self._client.list_workflows_async(
            status=["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            name=IMPORTS,
            limit=_SWEEP,
            load_input=False,
            load_output=False,
        )
        for workflow in given_up:
            project, operation_id, _ = workflow.workflow_id.split("/")
            async with write_tx(self._engine) as conn:
                await records.finish(
                    conn, project, operation_id, OperationState.FAILED, internal(), now()
                )
        over = await self._client.list_workflows_async(
            status=["SUCCESS", "ERROR", "CANCELLED"],
            completed_before=(now() - _KEPT).isoformat(),
            limit=_SWEEP,
            load_input=False,
            load_output=False,
        )
        if over:
            await self._client.delete_workflows_async([one.workflow_id for one in over])
