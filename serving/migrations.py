"""Alembic, called by the services themselves: no alembic.ini and no command line.

    await run_migrations(url, Path("catalog/storage/migrations"))

The folder's ``env.py`` is two lines: ``from serving.migrations import run`` and
``run("catalog_schema")``.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from serving.database import create_engine, read_tx, write_tx

# Any number will do, as long as nobody else in the database takes the same advisory lock.
_LOCK = 0x5EA1_0001


async def run_migrations(engine_url: str, script_location: Path) -> None:
    """Brings the schema to the newest revision, in one transaction: all of it or nothing.

    Two processes that migrate at once wait for each other. Driver errors pass through as they are:
    this is an operator's command, not a request.
    """
    engine = create_engine(engine_url)
    try:
        async with write_tx(engine) as conn:
            await conn.run_sync(_upgrade, script_location)
    finally:
        await engine.dispose()


async def is_current(engine_url: str, script_location: Path, version_table: str) -> bool:
    """Whether the schema is at the newest revision: a server that isn't there shouldn't start."""
    engine = create_engine(engine_url)
    try:
        async with read_tx(engine) as conn:
            found = await conn.run_sync(_heads, version_table)
    finally:
        await engine.dispose()
    return found == set(ScriptDirectory.from_config(_config(script_location)).get_heads())


def run(version_table: str) -> None:
    """For ``env.py``: runs the revisions on the connection that :func:`run_migrations` opened."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, version_table=version_table)
    with context.begin_transaction():
        context.run_migrations()


def patient(connection: Connection) -> None:
    """Lets the statements of this transaction last: an index on a large table takes its time."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))


def _upgrade(connection: Connection, script_location: Path) -> None:
    patient(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = _config(script_location)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _heads(connection: Connection, version_table: str) -> set[str]:
    options = {"version_table": version_table}
    return set(MigrationContext.configure(connection, opts=options).get_current_heads())


def _config(script_location: Path) -> Config:
    config = Config()
    # Alembic reads the value through configparser, which takes "%" for the start of a variable.
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    return config
