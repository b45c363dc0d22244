"""Reading beside the steps: whether a job is still wanted, and what it works on next."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from catalog.jobs.faults import JobStopped
from catalog.storage import jobs as records
from serving.database import read_tx

Result = TypeVar("Result")


_PATIENCE = 60.0


async def patiently(
    engine: AsyncEngine, read: Callable[[AsyncConnection], Awaitable[Result]]
) -> Result:
    """What ``read`` gives, tried again for a minute while the database can't be had.

    A step's transaction is repeated by DBOS; what a step reads before it is repeated here.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            async with read_tx(engine) as conn:
                return await read(conn)
        except (OperationalError, InterfaceError, OSError):
            if time.monotonic() > until:
                raise
        await asyncio.sleep(1.0)


class Watch:
    """Looks at the operation every ``seconds`` while :meth:`unless_stopped` waits. Close it."""

    def __init__(
        self, engine: AsyncEngine, seconds: float, project: str, operation_id: str
    ) -> None:
        self._engine = engine
        self._seconds = seconds
        self._project = project
        self._operation_id = operation_id
        self._watching: asyncio.Task[None] | None = None

    async def unless_stopped(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What ``work`` gives. Raises JobStopped(None), and cancels it, once the job is stopped."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        task = asyncio.create_task(work)
        try:
            await asyncio.wait([task, self._watching], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            self._watching = None
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        raise JobStopped(None)

    async def close(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self) -> None:
        """Ends when the job is stopped."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                async with read_tx(self._engine) as conn:
                    if await records.should_stop(conn, self._project, self._operation_id):
                        return
            except (SQLAlchemyError, OSError):
                continue  # the steps themselves find out whether the database can be had
