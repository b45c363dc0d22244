"""The job engine: DBOS with everything switched off that a job database shouldn't do.

    harden()                                 # first of all, in server and worker alike
    await migrate("sqlite+aiosqlite:////var/lib/sealmount/catalog.db")

What DBOS keeps lies in the Catalog's own database, since a step's rows and its checkpoint have to
be one transaction: beside our tables on SQLite, in the schema ``catalog_jobs`` on PostgreSQL.

By default DBOS pickles what passes through it, so that whoever can write its tables executes code
here, and it logs arguments. Neither is left: values are JSON, the pickle decoder is taken out, and
of its log lines only the place goes on.
"""

import asyncio
import logging
from typing import Any, NoReturn

import dbos._serialization as dbos_serialization
import sqlalchemy as sa
from dbos import (
    DBOS,
    AsyncSQLAlchemyDatasource,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    Serializer,
)
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from catalog.jobs.tables import metadata
from serving.database import create_engine
from serving.oldsqlite import is_old, modernise
from serving.scrub import type_name

APPLICATION = "sealmount-catalog"
VERSION = "1"
"""Constant: a worker of another version would leave waiting jobs alone. Steps are named and keyed
by what they were given, so that a newer worker can go on with an older one's job."""
SCHEMA = "catalog_jobs"

_POOL_SIZE = 8
_BUSY_MS = 30_000
_logger = logging.getLogger("sealmount.jobs.engine")


class PickleRefused(Exception):
    """A row of the jobs' database says that it is pickled. Nothing of it was decoded."""


def serializer() -> Serializer:
    """The only one in use."""
    return DBOSPortableJSONSerializer()


def harden() -> None:
    """Take the pickle codec out of DBOS and its voice off stderr. Call before using DBOS; again
    does no harm. Raises RuntimeError if a release of DBOS still decodes a pickle afterwards."""
    _silence()
    codec: Any = dbos_serialization.DefaultSerializer
    # Writing is no danger, and how DBOS ends a workflow whose row is marked so: with this text.
    codec.serialize = lambda _codec, _data: "refused"
    codec.deserialize = _refuse
    module: Any = dbos_serialization
    module.pickle = _NoPickle()
    for decode in (dbos_serialization.deserialize_value, dbos_serialization.deserialize_args):
        try:
            # base64 of pickle.dumps(None): harmless, should a release of DBOS decode it.
            decode("gAROLg==", "py_pickle", serializer())
        except PickleRefused:
            continue
        raise RuntimeError("this release of DBOS still decodes pickled rows")


class _NoPickle:
    """Stands where DBOS keeps the module ``pickle``."""

    def __getattr__(self, name: str) -> NoReturn:
        raise PickleRefused


def _refuse(*_: object) -> NoReturn:
    raise PickleRefused


class _PlacesOnly(logging.Handler):
    """Passes on where DBOS warned and the exception's type: its texts hold arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        about = {"place": f"{record.module}:{record.lineno}"}
        if error is not None:
            about["exception"] = type_name(error)
        _logger.log(record.levelno, "the job engine warned", extra={"fields": about})


def _silence() -> None:
    logger = logging.getLogger("dbos")
    logger.propagate = False
    if not any(isinstance(handler, _PlacesOnly) for handler in logger.handlers):
        # With handlers of its own DBOS adds none that writes to stderr.
        logger.addHandler(logging.NullHandler())
        logger.addHandler(_PlacesOnly(logging.WARNING))


def system_url(database_url: str) -> str:
    """The same database for DBOS's own, synchronous connections."""
    url = make_url(database_url)
    if url.drivername.startswith("sqlite"):
        url = url.set(drivername="sqlite")
    return url.render_as_string(hide_password=False)


async def migrate(database_url: str) -> None:
    """Create or upgrade DBOS's tables and ours for workers. The Catalog's own schema comes first.

    Driver errors pass through: this is an operator's command, not a request.
    """
    harden()
    engine = create_engine(database_url)  # on SQLite its first connection sets WAL, which lasts
    try:
        async with engine.begin() as conn:
            await conn.run_sync(metadata.create_all)
    finally:
        await engine.dispose()
    url = system_url(database_url)
    await asyncio.to_thread(DBOS.migrate, url, schema=SCHEMA)
    await AsyncSQLAlchemyDatasource.migrate(url, schema=SCHEMA)


def _system_engine(database_url: str, pool_size: int = 2) -> sa.Engine:
    engine = sa.create_engine(
        system_url(database_url), hide_parameters=True, pool_size=pool_size, max_overflow=2
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_sqlite_connect)
    return engine


def _on_sqlite_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # As DBOS sets up the engines that it makes itself: writers queue up instead of failing.
    connection.isolation_level = "IMMEDIATE"
    modernise(connection)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


class Client:
    """A DBOSClient with its engine, for processes that ask for jobs and run none."""

    def __init__(self, database_url: str) -> None:
        harden()
        self._engine = _system_engine(database_url)
        self.dbos = DBOSClient(
            system_database_engine=self._engine,
            dbos_system_schema=SCHEMA,
            serializer=serializer(),
            application_name=APPLICATION,
            lazy=True,
            retry_connection_errors=False,
        )

    async def close(self) -> None:
        await asyncio.to_thread(self.dbos.destroy)
        self._engine.dispose()


def configuration(database_url: str, worker_id: str) -> DBOSConfig:
    """How a worker launches DBOS: nothing listens, nothing is called, nothing is traced."""
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": system_url(database_url),
        "dbos_system_schema": SCHEMA,
        "application_version": VERSION,
        "executor_id": worker_id,
        "serializer": serializer(),
        "run_migrations": False,
        "enable_otlp": False,
        "log_level": "WARNING",
        "db_engine_kwargs": {"hide_parameters": True},
        "sys_db_pool_size": _POOL_SIZE,
        "max_executor_threads": 32,
    }
    if database_url.startswith("sqlite") and is_old():
        # Only on an engine of ours can each connection be given what this SQLite lacks.
        config["system_database_engine"] = _system_engine(database_url, _POOL_SIZE)
    return config


async def datasource(
    database_url: str, engine: AsyncEngine, sessions: Any
) -> AsyncSQLAlchemyDatasource:
    """The Catalog's engine as DBOS writes checkpoints with it. Make it before DBOS is launched."""
    return await AsyncSQLAlchemyDatasource.create(
        database_url,
        engine=engine,
        schema=SCHEMA,
        serializer=serializer(),
        sessionmaker=sessions,
        run_migrations=False,
    )
