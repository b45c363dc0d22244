"""One database under each service: SQLite to begin with, PostgreSQL when one machine isn't enough.

    database = Database(create_engine("sqlite+aiosqlite:////var/lib/sealmount/signer.db"),
                        lambda: Fault(Reason.STORAGE_UNAVAILABLE, "The database can't be had."))
    async with database.write() as conn:      # commits at the end, rolls back on an exception
        await conn.execute(...)

Nothing that was acknowledged is lost (``synchronous=FULL``), deleted rows are overwritten
(``secure_delete``), no parameter stands in an exception (``hide_parameters``), and no driver's text
leaves this module.

Sources: https://www.sqlite.org/pragma.html, https://www.sqlite.org/lang_transaction.html,
https://www.postgresql.org/docs/current/runtime-config-client.html and
https://www.postgresql.org/docs/current/libpq-connect.html.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Dialect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from serving.drivers import connect_postgresql, open_sqlite
from serving.faults import Fault
from serving.oldsqlite import modernise

SQLITE = "sqlite+aiosqlite"
POSTGRESQL = "postgresql+psycopg"
_READ_ONLY = "sealmount_read_only"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# How long a writer waits for another one before the caller is told that the database can't be had.
_BUSY_MS = 10_000
_IDLE_IN_TRANSACTION_MS = 60_000
_STATEMENT_MS = 30_000
# A server that vanished without a word is noticed in half a minute, not after the two hours that
# are a kernel's habit. Seconds, and milliseconds in the last.
_KEEPALIVES = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_MS}",  # first: switching to WAL may have to wait, too
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",
    # 32 MB between checkpoints: an index in random order is copied home far less often so.
    "PRAGMA wal_autocheckpoint = 8000",
)

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that sorts byte by byte, the same on both databases: SQLite's own order is that already."""


def micros(time: datetime) -> int:
    """Whole microseconds since 1970: how :class:`UtcTime` keeps an aware ``datetime``."""
    return (time - _EPOCH) // _MICROSECOND


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware ``datetime``, kept as whole microseconds since 1970: exact on both databases."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class DatabaseError(Exception):
    """A statement that the database refuses: a bug, unlike a database that can't be had.

    Says which class of error it was and nothing more, since drivers quote values in theirs.
    """


def create_engine(url: str) -> AsyncEngine:
    """An engine for ``sqlite+aiosqlite:///path`` or ``postgresql+psycopg://…``; ValueError else.

    Every transaction begins as a writing one; see :func:`read_tx` for the others.
    """
    parsed = _parse(url)
    return _sqlite(parsed) if parsed.drivername == SQLITE else _postgresql(parsed)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in (SQLITE, POSTGRESQL):
        raise ValueError(f"the database URL must begin with {SQLITE}:/// or {POSTGRESQL}://")
    if parsed.drivername == SQLITE and parsed.database in (None, "", ":memory:"):
        raise ValueError("the SQLite URL must name a file: sqlite+aiosqlite:////absolute/path.db")
    return parsed


def _sqlite(url: URL) -> AsyncEngine:
    # The file is made before SQLite makes it, so that it is never readable for others; the -wal and
    # -shm files take over its mode.
    path = Path(str(url.database))
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=4,
        max_overflow=4,
        pool_timeout=10.0,
        connect_args={"async_creator_fn": open_sqlite},
    )
    event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
    event.listen(engine.sync_engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # None keeps the driver from beginning transactions by itself: _on_sqlite_begin does it.
    connection.isolation_level = None
    modernise(connection)
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # A transaction that reads and then writes can't wait for its turn any more when another one
    # wrote in between: it must take the write lock with its first statement.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _postgresql(url: URL) -> AsyncEngine:
    settings = {
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
        "lock_timeout": _BUSY_MS,
        "statement_timeout": _STATEMENT_MS,
        "client_min_messages": "error",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    given = url.query.get("options", "")
    given = given if isinstance(given, str) else " ".join(given)
    return create_async_engine(
        url.difference_update_query(["options"]),
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_size=8,
        max_overflow=8,
        pool_timeout=10.0,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={
            # Ours last: a later -c wins.
            "options": f"{given} {options}".strip(),
            "connect_timeout": 10,
            "async_creator_fn": connect_postgresql,
            **_KEEPALIVES,
        },
    )


@asynccontextmanager
async def write_tx(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end of the block, rolled back when it raises.

    On SQLite it holds the only write lock from its first statement on: no network calls inside.
    """
    async with engine.begin() as conn:
        yield conn


@asynccontextmanager
async def read_tx(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that only reads: on SQLite a snapshot that waits for no writer."""
    async with engine.connect() as plain:
        conn = await plain.execution_options(**{_READ_ONLY: True})
        yield conn


@contextmanager
def mapped_errors(unavailable: Callable[[], Fault]) -> Iterator[None]:
    """Turns what drivers raise into ``unavailable()``, or DatabaseError where retrying won't help.

    Neither carries the driver's text, nor the driver's exception as a cause.
    """
    try:
        yield
    except (
        exc.OperationalError,  # locked, disk full, connection refused, deadlock, read-only
        exc.InterfaceError,
        exc.InternalError,
        exc.TimeoutError,  # the pool has no connection to give
        OSError,
    ):
        raise unavailable() from None
    except exc.DBAPIError as error:
        raise DatabaseError(type(error).__name__) from None


class Database:
    """An engine with the fault that its callers see when it can't be had."""

    def __init__(self, engine: AsyncEngine, unavailable: Callable[[], Fault]) -> None:
        self.engine = engine
        self._unavailable = unavailable

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """:func:`write_tx` under :func:`mapped_errors`, the commit included."""
        with mapped_errors(self._unavailable):
            async with write_tx(self.engine) as conn:
                yield conn

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """:func:`read_tx` under :func:`mapped_errors`."""
        with mapped_errors(self._unavailable):
            async with read_tx(self.engine) as conn:
                yield conn

    async def close(self) -> None:
        await self.engine.dispose()
