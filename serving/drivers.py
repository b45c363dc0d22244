"""What the drivers of both databases lack when a call ends in the middle of what it does.

    create_async_engine("sqlite+aiosqlite:////path", connect_args={"async_creator_fn": open_sqlite})
    create_async_engine(
        "postgresql+psycopg://…", connect_args={"async_creator_fn": connect_postgresql}
    )

A call that is cancelled in a statement costs its connection: SQLAlchemy closes it, as nobody knows
what became of the statement. What is closed or dropped halfway must not stay until the garbage
collector finds it.

Sources: https://www.sqlite.org/c3ref/close.html, https://www.sqlite.org/lang_transaction.html.
"""

import asyncio
import contextlib
import sqlite3
import weakref
from typing import Any

import aiosqlite
import psycopg

Postgres = psycopg.AsyncConnection[Any]
_connecting: set[asyncio.Task[Postgres]] = set()


class _Tidy(sqlite3.Connection):
    """Ends its statements and its transaction before it closes, on the thread that it closes on.

    ``sqlite3_close_v2`` puts the end of a connection off until its last statement is finalized, and
    the end of its transaction with it. A cursor in a traceback would keep the only write lock, or a
    snapshot beyond which the WAL can't be checkpointed.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *args: Any, **settings: Any) -> Any:
        # The short cuts, execute and its kin, come through here too.
        made = super().cursor(*args, **settings)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        # A rollback leaves statements that read where they are, and their snapshot with them.
        for cursor in list(self._cursors):
            with contextlib.suppress(sqlite3.Error):
                cursor.close()
        with contextlib.suppress(sqlite3.Error):  # closed before
            self.rollback()
        super().close()


class _ClosedOnce(aiosqlite.Connection):
    """Closes as the last thing on its thread, however often it is told to and in whichever way.

    aiosqlite's own ``close`` waits for ever when ``stop`` came first, as it does when a call is
    cancelled again while SQLAlchemy closes its connection, and then nobody closes SQLite's.
    """

    _stopped: asyncio.Future[Any] | None = None

    def stop(self) -> asyncio.Future[Any] | None:
        if self._stopped is None:
            self._stopped = super().stop()
        return self._stopped

    async def close(self) -> None:
        stopped = self.stop()
        if stopped is not None:
            await asyncio.shield(stopped)


def open_sqlite(database: str, **settings: Any) -> aiosqlite.Connection:
    """``aiosqlite.connect`` for what is to be awaited: each connection has a thread of its own."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(database, factory=_Tidy, **settings)

    made = _ClosedOnce(connect, iter_chunk_size=64)
    made._thread.daemon = True  # as SQLAlchemy does for those that it makes itself
    return made


async def connect_postgresql(*args: Any, **settings: Any) -> Postgres:
    """psycopg's ``connect``. A connection that nobody waits for any more is closed once it is made,
    as one dropped halfway would stay open on the server."""
    task = asyncio.create_task(psycopg.AsyncConnection.connect(*args, **settings))
    _connecting.add(task)
    task.add_done_callback(_connecting.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_close)
        raise


def _close(task: asyncio.Task[Postgres]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().pgconn.finish()
