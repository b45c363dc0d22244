"""Calls that end in the middle of a statement leave no lock, snapshot or connection behind."""

import asyncio
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from serving.database import Database, create_engine
from serving.faults import Fault
from serving.migrations import patient
from tests.fakes.postgres import Postgres, running

Work = Callable[[Database], Awaitable[None]]
Ended = Callable[[Work, Database], Awaitable[None]]
_KEPT_ALIVE = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
_AT_ONCE = 12
_LONGEST = 0.02


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'cancelled.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield server.create("cancelled")
    server.drop("cancelled")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    found = Database(create_engine(url), lambda: Fault("UNAVAILABLE", "Away."))
    async with found.write() as tx:
        await tx.execute(sa.text("CREATE TABLE t (a INTEGER)"))
        await tx.execute(sa.text("INSERT INTO t VALUES (1), (2), (3)"))
    yield found
    await found.close()


async def _write(database: Database) -> None:
    async with database.write() as tx:
        await tx.execute(sa.text("SELECT a FROM t"))
        await tx.execute(sa.text("INSERT INTO t VALUES (1)"))


async def _read(database: Database) -> None:
    async with database.read() as tx:
        for _ in range(3):
            await tx.execute(sa.text("SELECT a FROM t"))


async def _timed_out(work: Work, database: Database) -> None:
    async with asyncio.timeout(random.uniform(0.0002, _LONGEST)):
        await work(database)


async def _cancelled_twice(work: Work, database: Database) -> None:
    """As a call whose deadline passes while its caller goes away."""
    task = asyncio.ensure_future(work(database))
    loop, first = asyncio.get_running_loop(), random.uniform(0.0002, _LONGEST)
    for after in (first, first + random.uniform(0, 0.002)):
        loop.call_later(after, task.cancel)
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("end", [_timed_out, _cancelled_twice])
async def test_the_next_one_has_everything_to_itself(
    database: Database, url: str, end: Ended
) -> None:
    random.seed(7)
    check = _check_sqlite if url.startswith("sqlite") else _check_postgresql
    for _ in range(25):
        calls = [end(_read if n % 3 == 0 else _write, database) for n in range(_AT_ONCE)]
        await asyncio.gather(*calls, return_exceptions=True)
        # The connections are closed on their own threads, each after its last statement.
        await _soon(lambda: check(url))
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await asyncio.wait_for(_write(database), 5)
    await _soon(lambda: threading.active_count() < 2 * _AT_ONCE)


async def _soon(holds: Callable[[], bool]) -> None:
    for _ in range(150):
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("something was left behind")


def _check_sqlite(url: str) -> bool:
    """Nobody has the write lock, and nobody a snapshot that keeps the WAL from being emptied."""
    other = sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///"), 0.1, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return bool(busy == 0)


def _check_postgresql(url: str) -> bool:
    """No connection waits in a transaction, and there are no more of them than the pool keeps."""
    statement = """
        SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        row = other.execute(statement).fetchone()
    assert row is not None
    return bool(row[0] <= 8 and row[1] == 0)


@pytest.mark.needs("postgresql")
async def test_what_hangs_on_postgresql_ends_by_itself(postgres: Postgres) -> None:
    engine = create_engine(postgres.create("bounds"))
    async with engine.connect() as tx:
        limit = (await tx.execute(sa.text("SHOW statement_timeout"))).scalar_one()
        raw = await tx.get_raw_connection()
        known = raw.driver_connection.info.get_parameters()  # type: ignore[union-attr]
        await tx.run_sync(patient)
        patiently = (await tx.execute(sa.text("SHOW statement_timeout"))).scalar_one()
        await tx.rollback()
        after = (await tx.execute(sa.text("SHOW statement_timeout"))).scalar_one()
    await engine.dispose()
    assert (limit, patiently, after) == ("30s", "0", "30s")
    assert {name: known.get(name) for name in _KEPT_ALIVE} == _KEPT_ALIVE
