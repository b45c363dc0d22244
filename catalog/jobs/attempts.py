"""How often a job may be begun without getting on.

A job that takes its worker down with it would otherwise be resumed for ever. An attempt counts
when it begins and is forgiven with the first step that it commits, in that step's transaction.
"""

from collections.abc import Awaitable, Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from catalog.jobs.steps import Brought, Json, Steps
from catalog.jobs.tables import attempts
from serving.database import write_tx


class Attempt:
    """One execution of a workflow, as far as counting goes."""

    def __init__(self, engine: AsyncEngine, workflow_id: str) -> None:
        self._engine = engine
        self._mine = attempts.c.workflow_id == workflow_id
        self._workflow_id = workflow_id
        self.forgiven = False

    async def begin(self) -> int:
        """Count it; how many there were since the job last got on, this one included."""
        async with write_tx(self._engine) as conn:
            again = sa.update(attempts).where(self._mine).values(attempts=attempts.c.attempts + 1)
            count = (await conn.execute(again.returning(attempts.c.attempts))).scalar()
            if count is None:
                first = sa.insert(attempts).values(workflow_id=self._workflow_id, attempts=1)
                await conn.execute(first)
                return 1
        return int(count)

    async def forgive(self, conn: AsyncConnection) -> None:
        """Within the transaction of a step."""
        await conn.execute(sa.update(attempts).where(self._mine).values(attempts=0))

    async def end(self) -> None:
        """The job has ended: nothing more to count."""
        async with write_tx(self._engine) as conn:
            await conn.execute(sa.delete(attempts).where(self._mine))


class CountedSteps:
    """Steps of one attempt: the first one to be committed forgives it."""

    def __init__(self, steps: Steps, attempt: Attempt) -> None:
        self._steps = steps
        self._attempt = attempt

    async def run(
        self,
        name: str,
        write: Callable[[AsyncConnection, Brought], Awaitable[Json]],
        prepare: Callable[[], Awaitable[Brought]],
    ) -> Json:
        """Like :meth:`Steps.run`."""
        if self._attempt.forgiven:
            return await self._steps.run(name, write, prepare)
        written = False

        async def forgiving(conn: AsyncConnection, brought: Brought) -> Json:
            nonlocal written
            await self._attempt.forgive(conn)
            result = await write(conn, brought)
            written = True
            return result

        result = await self._steps.run(name, forgiving, prepare)
        self._attempt.forgiven = written  # a step that has its checkpoint writes nothing
        return result
