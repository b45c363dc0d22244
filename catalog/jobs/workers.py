"""Who works: a heartbeat per worker, and a dead worker's jobs go to a live one.

A worker is dead when its row wasn't touched for ``dead_after`` seconds by the database's clock.
Whoever claims it first, by one atomic UPDATE, puts its jobs back into their queues; doing so twice
does no harm. A worker never judges itself: one that was only paused finds, at its next commit,
that its jobs aren't its own any more.
"""

import fcntl
import logging
import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from catalog.jobs.tables import database_now, workers
from serving.database import read_tx, write_tx

_logger = logging.getLogger("sealmount.jobs")


class WorkerRunning(RuntimeError):
    """Another process is the worker of this name already."""


class OnlyOne:
    """A lock that lives as long as this process: two workers of one name would fight for jobs.

    For SQLite alone, where all workers are on one machine. kill -9 releases it, so a worker that is
    started again gets it at once.
    """

    def __init__(self, database_url: str, worker_id: str) -> None:
        url = make_url(database_url)
        self._file: int | None = None
        if url.drivername.startswith("sqlite"):
            path = Path(f"{url.database}.{worker_id}.lock")
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> None:
        """Raises WorkerRunning."""
        if self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WorkerRunning("another worker of this name runs already") from None

    def release(self) -> None:
        held, self._file = self._file, None
        if held is not None:
            os.close(held)


class Roster:
    """The table of workers, as one of them sees it."""

    def __init__(self, engine: AsyncEngine, worker_id: str, dead_after: float) -> None:
        self._engine = engine
        self._worker_id = worker_id
        self._dead_after = dead_after
        self._now = database_now(engine.dialect)

    async def beat(self) -> None:
        """I live. Also takes back a claim that somebody laid on this worker meanwhile."""
        mine = workers.c.worker_id == self._worker_id
        fresh = {"beat_at": self._now, "claimed_by": "", "claimed_at": 0.0}
        async with write_tx(self._engine) as conn:
            touched = await conn.execute(sa.update(workers).where(mine).values(fresh))
            if touched.rowcount == 0:
                await conn.execute(sa.insert(workers).values(worker_id=self._worker_id, **fresh))

    async def leave(self) -> None:
        """I go, and leave no job behind."""
        await self._remove(self._worker_id)

    async def claim_dead(self) -> str | None:
        """The name of a dead worker whose jobs are this one's to give back now; None without."""
        async with read_tx(self._engine) as conn:
            found = await conn.execute(sa.select(workers.c.worker_id).where(self._dead()))
            names = [str(name) for name in found.scalars()]
        for name in names:
            async with write_tx(self._engine) as conn:
                if await self._claim(conn, name):
                    _logger.warning("a worker is dead", extra={"fields": {"worker": name}})
                    return name
        return None

    async def bury(self, name: str) -> None:
        """Its jobs are in their queues again. A worker that has woken up since stays."""
        async with write_tx(self._engine) as conn:
            await conn.execute(
                sa.delete(workers).where(
                    workers.c.worker_id == name, workers.c.claimed_by == self._worker_id
                )
            )

    async def _claim(self, conn: AsyncConnection, name: str) -> bool:
        claim = (
            sa.update(workers)
            .where(workers.c.worker_id == name, self._dead())
            .values(claimed_by=self._worker_id, claimed_at=self._now)
        )
        return (await conn.execute(claim)).rowcount == 1

    async def _remove(self, name: str) -> None:
        async with write_tx(self._engine) as conn:
            await conn.execute(sa.delete(workers).where(workers.c.worker_id == name))

    def _dead(self) -> sa.ColumnElement[bool]:
        # A claim counts for as long: whoever laid it may have died before it was through.
        limit = self._now - self._dead_after
        return sa.and_(
            workers.c.worker_id != self._worker_id,
            workers.c.beat_at < limit,
            workers.c.claimed_at < limit,
        )
