"""What a worker does beside jobs: beats, gives dead workers' jobs back, and clears up."""

import asyncio
import logging

from dbos import DBOSClient, WorkflowStatus

from catalog.jobs.queue import IMPORTS
from catalog.jobs.runner import Runner
from catalog.jobs.sweeping import Sweeper
from catalog.jobs.workers import Roster
from serving.scrub import describe

_logger = logging.getLogger("sealmount.jobs")
_SWEEPS_APART = 12  # beats


class Housekeeping:
    """Runs until it is cancelled. What fails is logged and done again at the next beat."""

    def __init__(
        self,
        client: DBOSClient,
        roster: Roster,
        runner: Runner,
        sweeper: Sweeper,
        beat_seconds: float,
    ) -> None:
        self._client = client
        self._roster = roster
        self._runner = runner
        self._sweeper = sweeper
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
                    await self._sweeper.sweep()
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
