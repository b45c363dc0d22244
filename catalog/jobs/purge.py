"""The purge of an unmounted bucket: its images go, its binding is released, then its own row.

There is no operation to report to, so what can't be done yet is tried again until it can.
"""

import asyncio
import functools
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.jobs.attempts import CountedSteps
from catalog.jobs.faults import JobStopped
from catalog.jobs.retry import asking_signer
from catalog.jobs.steps import no_preparation
from catalog.jobs.tools import Tools
from catalog.jobs.watch import patiently
from catalog.storage import jobs as records

State = dict[str, Any]
_END = {"phase": "END"}
_GONE = "RESOURCE_NOT_FOUND"
_LONGEST_WAIT = 300.0


class PurgeRun:
    """One execution of (a segment of) a purge."""

    def __init__(self, tools: Tools, steps: CountedSteps, bucket_uid: str) -> None:
        self._tools = tools
        self._steps = steps
        self._bucket_uid = bucket_uid

    async def run(self, state: State) -> State:
        """Steps until the bucket is gone, or the purge was handed on."""
        steps = self._steps
        phase, tries = {"phase": "IMAGES"}, 0
        for _ in range(self._tools.settings.steps_per_workflow):
            match phase["phase"]:
                case "IMAGES":
                    phase = await steps.run("images", self._images, no_preparation)
                case "RELEASE":
                    tries += 1
                    release = functools.partial(self._release, tries - 1)
                    phase = await steps.run("release", self._drop, release)
                case _:
                    return phase
        return await steps.run("continue", self._hand_on(state), no_preparation)

    async def _images(self, conn: AsyncConnection, _: None) -> State:
        chunk = self._tools.settings.purge_chunk
        left = await records.purge_bucket_chunk(conn, self._bucket_uid, chunk)
        return {"phase": "IMAGES" if left else "RELEASE"}

    async def _release(self, tries_before: int) -> bool:
        """Whether the binding is released. A bucket of the same name may have it by now."""
        if tries_before:
            await asyncio.sleep(min(_LONGEST_WAIT, 2.0**tries_before))
        found = await patiently(
            self._tools.engine, lambda conn: records.tombstone(conn, self._bucket_uid)
        )
        if found is None or not found.release:
            return True
        signer = self._tools.signer
        try:
            await asking_signer(
                self._tools.settings.retry,
                lambda: signer.release(found.binding, found.bucket_name),
            )
        except JobStopped as stopped:
            # A binding that is gone holds nothing.
            return stopped.fault is not None and stopped.fault.reason == _GONE
        return True

    async def _drop(self, conn: AsyncConnection, released: bool) -> State:
        if not released:
            return {"phase": "RELEASE"}
        await records.drop_bucket(conn, self._bucket_uid)
        return _END

    def _hand_on(self, state: State) -> Any:
        rest = {"segment": state["segment"] + 1}

        async def write(conn: AsyncConnection, _: None) -> State:
            await self._tools.queue.continue_purge(conn, self._bucket_uid, rest)
            return _END

        return write
