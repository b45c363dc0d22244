"""The import: list, then look into what was listed, a step at a time.

A step's state goes in and the next one comes out; DBOS keeps it with the step's checkpoint, so a
worker that takes over goes on after the last step that was committed. What has been written and
counted is in the same transaction, so it is neither lost nor doubled.

    BEGIN → LISTING → PROBING → END          a listing import
    BEGIN → KEYS    → PROBING → END          an import of named keys

Every step looks first whether the operation is still wanted; its end, however it comes, is written
by a step as well.
"""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import Health, HealthState, ImportCounts, OperationState, Phase
from catalog.domain.ports import PageCounts, SourceKind
from catalog.jobs.attempts import CountedSteps
from catalog.jobs.clock import now
from catalog.jobs.faults import JobStopped, bucket_deleted, cancelled
from catalog.jobs.listing import PAGE_KEYS, Batch, ListingOf, ListingReader, Position
from catalog.jobs.probing import Pace, Probed, ProbeOf, probe_batch
from catalog.jobs.steps import no_preparation
from catalog.jobs.tools import Tools
from catalog.jobs.watch import Watch, patiently
from catalog.storage import jobs as records

State = dict[str, Any]
END = "END"
_COUNTED = ("listed", "created", "existing", "excluded", "unsignable")


class ImportRun:
    """One execution of (a segment of) an import, by one worker. Close it."""

    def __init__(
        self, tools: Tools, steps: CountedSteps, project: str, operation_id: str, bucket_uid: str
    ) -> None:
        self._tools = tools
        self._steps = steps
        self._project = project
        self._operation_id = operation_id
        self._bucket_uid = bucket_uid
        self._pace = Pace(tools.settings.probes_per_second)
        self._watch = Watch(tools.engine, tools.settings.watch_seconds, project, operation_id)
        self._reader: ListingReader | None = None

    async def close(self) -> None:
        await self._watch.close()
        if self._reader is not None:
            await self._reader.close()

    async def run(self, state: State) -> State:
        """Steps until the job has ended, or was handed on to a workflow of its own."""
        for _ in range(self._tools.settings.steps_per_workflow):
            state = {"segment": state["segment"], **await self._step(state)}
            if state["phase"] == END:
                return state
        return await self._steps.run("continue", self._hand_on(state), no_preparation)

    async def _step(self, state: State) -> State:
        steps = self._steps
        match state["phase"]:
            case "BEGIN":
                return await steps.run("begin", self._begin, no_preparation)
            case "LISTING":
                position = Position.from_json(state["at"])
                return await steps.run(
                    "listing",
                    lambda conn, batch: self._write_listing(conn, state, batch),
                    lambda: self._list(position),
                )
            case "KEYS":
                return await steps.run(
                    "keys", lambda conn, _: self._write_keys(conn, state), no_preparation
                )
            case _:
                return await steps.run(
                    "probing", self._write_probed, lambda: self._probe(state["after"])
                )

    async def _begin(self, conn: AsyncConnection, _: None) -> State:
        job = await records.load_import(conn, self._project, self._operation_id)
        if job is None or job.stop:
            return await self._end(conn, JobStopped(None))
        await self._set_phase(conn, Phase.LISTING)
        if job.source is SourceKind.KEYS:
            return {"phase": "KEYS", "after": ""}
        return {"phase": "LISTING", "at": Position().to_json(), "counted": [0] * 6}

    async def _job(self) -> records.ImportJob:
        job = await patiently(
            self._tools.engine,
            lambda conn: records.load_import(conn, self._project, self._operation_id),
        )
        if job is None or job.stop:
            raise JobStopped(None)
        return job

    async def _list(self, position: Position) -> Batch:
        try:
            if self._reader is None:
                job = await self._job()
                self._reader = ListingReader(
                    ListingOf(
                        job.binding,
                        job.prefix,
                        job.on_behalf_of,
                        self._tools.signer,
                        self._tools.http,
                        self._tools.settings.retry,
                        self._tools.settings.pages_per_step,
                    )
                )
            return await self._watch.unless_stopped(self._reader.take(position))
        except JobStopped as stopped:
            return Batch(next=position, stopped=stopped)

    async def _write_listing(self, conn: AsyncConnection, state: State, batch: Batch) -> State:
        if await self._should_stop(conn):
            return await self._end(conn, JobStopped(None))
        if batch.moved:
            # What was counted so far is another location's; its rows stay, as a sync finds them.
            await self._count(conn, [-count for count in state["counted"]])
            return {"phase": "LISTING", "at": Position().to_json(), "counted": [0] * 6}
        counted = [0] * 6
        for first in range(0, len(batch.entries), PAGE_KEYS):
            page = await records.write_listing_page(
                conn,
                self._bucket_uid,
                batch.entries[first : first + PAGE_KEYS],
                batch.epoch,
                now(),
            )
            if page.gone:
                return await self._end(conn, JobStopped(None))
            counted = [a + b for a, b in zip(counted, _counts(page), strict=True)]
        await self._count(conn, counted)
        if batch.stopped is not None and batch.stopped.fault is not None:
            return await self._end(conn, batch.stopped)
        if batch.next is None:
            return await self._listed(conn)
        total = [a + b for a, b in zip(state["counted"], counted, strict=True)]
        return {"phase": "LISTING", "at": batch.next.to_json(), "counted": total}

    async def _listed(self, conn: AsyncConnection) -> State:
        health = Health(HealthState.HEALTHY, "", now())
        await records.set_health(conn, self._bucket_uid, health)
        job = await records.load_import(conn, self._project, self._operation_id)
        if job is None or not job.probe:
            return await self._succeed(conn)
        await self._set_phase(conn, Phase.PROBING)
        return {"phase": "PROBING", "after": ""}

    async def _write_keys(self, conn: AsyncConnection, state: State) -> State:
        if await self._should_stop(conn):
            return await self._end(conn, JobStopped(None))
        keys = await records.key_page(
            conn, self._project, self._operation_id, state["after"], PAGE_KEYS
        )
        if not keys:
            # Also under ProbePolicy.NONE: only a look can tell whether a named object exists.
            await self._set_phase(conn, Phase.PROBING)
            return {"phase": "PROBING", "after": ""}
        page = await records.write_named_keys(conn, self._bucket_uid, keys, now())
        if page.gone:
            return await self._end(conn, JobStopped(None))
        await self._count(conn, _counts(page))
        return {"phase": "KEYS", "after": keys[-1]}

    async def _probe(self, after: str) -> tuple[Probed, str | None]:
        settings = self._tools.settings
        try:
            job = await self._job()
            page = await patiently(
                self._tools.engine,
                lambda conn: records.images_to_probe(conn, job, after, settings.probe_batch),
            )
            if not page.images:
                return Probed(), page.next_after
            what = ProbeOf(
                job.binding,
                job.on_behalf_of,
                job.probe,
                self._tools.signer,
                self._tools.http,
                settings.retry,
                self._pace,
                settings.probe_concurrency,
            )
            probing = probe_batch(what, page.images, now())
            return await self._watch.unless_stopped(probing), page.next_after
        except JobStopped as stopped:
            return Probed(stopped=stopped), after

    async def _write_probed(
        self, conn: AsyncConnection, brought: tuple[Probed, str | None]
    ) -> State:
        probed, next_after = brought
        if await self._should_stop(conn):
            return await self._end(conn, JobStopped(None))
        if probed.stopped is not None:
            if probed.stopped.fault is not None:
                return await self._end(conn, probed.stopped)
            return {"phase": "PROBING", "after": next_after}
        if probed.results:
            done = await records.write_probe_results(conn, self._bucket_uid, probed.results, now())
            await records.add_failures(conn, self._project, self._operation_id, probed.failures)
            await records.add_progress(conn, self._project, self._operation_id, done, now())
        if next_after is None:
            return await self._succeed(conn)
        return {"phase": "PROBING", "after": next_after}

    async def _should_stop(self, conn: AsyncConnection) -> bool:
        return await records.should_stop(conn, self._project, self._operation_id)

    async def _set_phase(self, conn: AsyncConnection, phase: Phase) -> None:
        await records.set_phase(conn, self._project, self._operation_id, phase, now())

    async def _count(self, conn: AsyncConnection, counted: list[int]) -> None:
        *counts, to_probe = counted
        delta = ImportCounts(**dict(zip(_COUNTED, counts, strict=True)))
        await records.add_progress(conn, self._project, self._operation_id, delta, now(), to_probe)

    async def _succeed(self, conn: AsyncConnection) -> State:
        await records.finish(
            conn, self._project, self._operation_id, OperationState.SUCCEEDED, None, now()
        )
        return {"phase": END}

    async def _end(self, conn: AsyncConnection, stopped: JobStopped) -> State:
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
        return {"phase": END}

    async def _unmounted(self, conn: AsyncConnection) -> bool:
        job = await records.load_import(conn, self._project, self._operation_id)
        if job is not None and not job.binding:
            return True
        return await records.tombstone(conn, self._bucket_uid) is not None

    def _hand_on(self, state: State) -> Any:
        rest = {**state, "segment": state["segment"] + 1}

        async def write(conn: AsyncConnection, _: None) -> State:
            await self._tools.queue.continue_import(
                conn, self._project, self._operation_id, self._bucket_uid, rest
            )
            return {"phase": END}

        return write


def _counts(page: PageCounts) -> list[int]:
    return [*(getattr(page, name) for name in _COUNTED), page.to_probe]
