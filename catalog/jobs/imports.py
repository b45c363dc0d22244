"""The import: list, then look into what was listed, a step at a time.

A step's state goes in and the next one comes out; DBOS keeps it with the step's checkpoint, so a
worker that takes over goes on after the last step that was committed. What has been written and
counted is in the same transaction, so it is neither lost nor doubled.

    BEGIN → LISTING → PROBING → END          a listing import
    BEGIN → KEYS    → PROBING → END          an import of named keys

Every step looks first whether the operation is still wanted; its end, however it comes, is written
by a step as well. A step whose result has a "rest" is its workflow's last: the job gives its place
up, and goes on in another workflow when that many seconds are over and its turn has come again.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import Phase
from catalog.domain.ports import SourceKind
from catalog.jobs.attempts import CountedSteps
from catalog.jobs.clock import now
from catalog.jobs.faults import JobStopped, images_limit
from catalog.jobs.import_rows import END, NOTHING, ImportRows, State, added, counts_of
from catalog.jobs.listing import PAGE_KEYS, Batch, ListingOf, ListingReader, Position
from catalog.jobs.probing import Pace, Probed, ProbeOf, probe_batch
from catalog.jobs.steps import no_preparation
from catalog.jobs.tools import Tools
from catalog.jobs.watch import Watch, patiently
from catalog.storage import jobs as records

_PHASES = {"LISTING": Phase.LISTING, "KEYS": Phase.LISTING, "PROBING": Phase.PROBING}


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
        self._rows = ImportRows(tools.queue, project, operation_id, bucket_uid)
        self._until = time.monotonic() + tools.settings.turn_seconds
        self._began = False
        self._pace = Pace(tools.settings.probes_per_second)
        self._watch = Watch(tools.engine, tools.settings.watch_seconds, project, operation_id)
        self._reader: ListingReader | None = None

    async def close(self) -> None:
        await self._watch.close()
        if self._reader is not None:
            await self._reader.close()

    async def run(self, state: State) -> State:
        """Steps until the job has ended, or was handed on to a workflow of its own."""
        rest = 0.0
        for _ in range(self._tools.settings.steps_per_workflow):
            state = {"segment": state["segment"], **await self._step(state)}
            self._began = True
            if state["phase"] == END:
                return state
            if "rest" in state:
                rest = state.pop("rest")
                break
        following = {**state, "segment": state["segment"] + 1}
        return await self._steps.run(
            "continue",
            lambda conn, _: self._rows.hand_on(conn, following, rest),
            no_preparation,
        )

    async def _step(self, state: State) -> State:
        match state["phase"]:
            case "BEGIN":
                return await self._run("begin", state, self._begin, no_preparation)
            case "LISTING":
                position = Position.from_json(state["at"])
                return await self._run(
                    "listing",
                    state,
                    lambda conn, batch: self._write_listing(conn, state, batch),
                    lambda: self._list(position),
                )
            case "KEYS":
                return await self._run(
                    "keys", state, lambda conn, _: self._write_keys(conn, state), no_preparation
                )
            case _:
                return await self._run(
                    "probing", state, self._write_probed, lambda: self._probe(state["after"])
                )

    async def _run(
        self,
        name: str,
        state: State,
        write: Callable[[AsyncConnection, Any], Awaitable[State]],
        prepare: Callable[[], Awaitable[Any]],
    ) -> State:
        async def written(conn: AsyncConnection, brought: Any) -> State:
            if not self._began and state["phase"] in _PHASES:
                await self._rows.set_phase(conn, _PHASES[state["phase"]])
            result = await write(conn, brought)
            if result["phase"] != END and time.monotonic() > self._until:
                # Part of the result, so that whoever reads it again decides the same.
                return {"rest": 0.0, **result}
            return result

        return await self._steps.run(name, written, prepare)

    async def _begin(self, conn: AsyncConnection, _: None) -> State:
        job = await self._rows.load(conn)
        if job is None or job.stop:
            return await self._rows.end(conn, JobStopped(None))
        await self._rows.set_phase(conn, Phase.LISTING)
        if job.source is SourceKind.KEYS:
            return {"phase": "KEYS", "after": ""}
        return {"phase": "LISTING", "at": Position().to_json(), "counted": NOTHING}

    async def _job(self) -> records.ImportJob:
        job = await patiently(self._tools.engine, self._rows.load)
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
        if await self._rows.should_stop(conn):
            return await self._rows.end(conn, JobStopped(None))
        if batch.moved:
            # The rows of the other location stay, as a sync finds them.
            await self._rows.uncount(conn, state["counted"])
            return {"phase": "LISTING", "at": Position().to_json(), "counted": NOTHING}
        counted, over = await self._write_pages(conn, batch)
        await self._rows.count(conn, counted)
        if over is not None:
            return await self._rows.end(conn, over)
        if batch.stopped is not None and batch.stopped.fault is not None:
            return await self._rows.end(conn, batch.stopped)
        if batch.next is None:
            return await self._listed(conn)
        total = added(state["counted"], counted)
        following: State = {"phase": "LISTING", "at": batch.next.to_json(), "counted": total}
        return following | ({"rest": batch.rest} if batch.rest else {})

    async def _write_pages(
        self, conn: AsyncConnection, batch: Batch
    ) -> tuple[list[int], JobStopped | None]:
        """What was written, and why nothing may follow."""
        counted, limit = NOTHING, self._tools.settings.max_images_per_bucket
        for first in range(0, len(batch.entries), PAGE_KEYS):
            entries = batch.entries[first : first + PAGE_KEYS]
            page = await records.write_listing_page(
                conn, self._bucket_uid, entries, batch.epoch, now(), limit
            )
            counted = added(counted, counts_of(page))
            if page.gone or page.full:
                return counted, JobStopped(images_limit(limit) if page.full else None)
        return counted, None

    async def _listed(self, conn: AsyncConnection) -> State:
        await self._rows.healthy(conn)
        job = await self._rows.load(conn)
        if job is None or not job.probe:
            return await self._rows.succeed(conn)
        await self._rows.set_phase(conn, Phase.PROBING)
        return {"phase": "PROBING", "after": ""}

    async def _write_keys(self, conn: AsyncConnection, state: State) -> State:
        if await self._rows.should_stop(conn):
            return await self._rows.end(conn, JobStopped(None))
        keys = await records.key_page(
            conn, self._project, self._operation_id, state["after"], PAGE_KEYS
        )
        if not keys:
            # Also under ProbePolicy.NONE: only a look can tell whether a named object exists.
            await self._rows.set_phase(conn, Phase.PROBING)
            return {"phase": "PROBING", "after": ""}
        limit = self._tools.settings.max_images_per_bucket
        page = await records.write_named_keys(conn, self._bucket_uid, keys, now(), limit)
        await self._rows.count(conn, counts_of(page))
        if page.gone or page.full:
            return await self._rows.end(
                conn, JobStopped(images_limit(limit) if page.full else None)
            )
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
                batch_seconds=settings.turn_seconds,
            )
            probed = await self._watch.unless_stopped(probe_batch(what, page.images, now()))
        except JobStopped as stopped:
            return Probed(stopped=stopped), after
        return probed, page.next_after if probed.reached is None else probed.reached

    async def _write_probed(
        self, conn: AsyncConnection, brought: tuple[Probed, str | None]
    ) -> State:
        probed, next_after = brought
        if await self._rows.should_stop(conn):
            return await self._rows.end(conn, JobStopped(None))
        if probed.stopped is not None:
            if probed.stopped.fault is not None:
                return await self._rows.end(conn, probed.stopped)
            return {"phase": "PROBING", "after": next_after}
        if probed.results:
            done = await records.write_probe_results(conn, self._bucket_uid, probed.results, now())
            await records.add_failures(conn, self._project, self._operation_id, probed.failures)
            await records.add_progress(conn, self._project, self._operation_id, done, now())
        if next_after is None:
            return await self._rows.succeed(conn)
        return {"phase": "PROBING", "after": next_after}
