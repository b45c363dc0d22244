"""Migrated, empty databases for tests of the Signer, on SQLite and PostgreSQL.

databases = Databases(folder)
url = databases.sqlite(tmp_path)
with databases.postgresql() as url: ...
databases.close()
"""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from serving.database import Database
from serving.migrations import run_migrations
from signer.bootstrap import MIGRATIONS, database_of
from signer.domain.bindings import Binding, BindingClass, Revision, RevisionState
from signer.domain.credentials import (
    Credential,
    CredentialState,
    Envelope,
    Permission,
    Scope,
    ScopeRule,
)
from signer.domain.location import Location, Provider
from signer.sealing.integrity import Integrity
from signer.storage import tables
from signer.storage.guard import Guard
from signer.storage.ledger import SqlLedger
from signer.storage.source import SqlStateSource
from tests.fakes import postgres

KINDS = ("sqlite", "postgresql")
DEPLOYMENT = "test"


class Databases:
    """One of each per test process: copies of a migrated template cost milliseconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._server: postgres.Postgres | None = None

    def sqlite(self, folder: Path) -> str:
        template = self._folder / "template.db"
        if not template.exists():
            asyncio.run(run_migrations(f"sqlite+aiosqlite:///{template}", MIGRATIONS))
        path = folder / "signer.db"
        shutil.copy(template, path)
        return f"sqlite+aiosqlite:///{path}"

    @contextlib.contextmanager
    def postgresql(self) -> Iterator[str]:
        """The same one each time, emptied: on a busy machine, making one takes a second."""
        if self._server is None:
            self._server = self._stack.enter_context(postgres.running())
            asyncio.run(run_migrations(self._server.create("signer"), MIGRATIONS))
        names = ", ".join(table.name for table in tables.metadata.sorted_tables)
        with psycopg.connect(host=str(self._server.folder), user="sealmount", dbname="signer") as c:
            c.execute("SET lock_timeout = 5000")
            c.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(names)))
        yield self._server.url("signer")

    @contextlib.contextmanager
    def of(self, kind: str, folder: Path) -> Iterator[str]:
        if kind == "sqlite":
            yield self.sqlite(folder)
        else:
            with self.postgresql() as url:
                yield url

    def close(self) -> None:
        self._stack.close()


def integrity(key_id: str = "k") -> Integrity:
    """Keys that are the same in every test."""
    return Integrity(key_id, b"r" * 32, b"s" * 32, b"a" * 32, b"q" * 32)


async def founded(url: str) -> tuple[Database, Guard]:
    """A database at generation zero, and the guard that knows its keys."""
    database = database_of(url)
    guard = Guard(integrity(), DEPLOYMENT)
    async with database.write() as conn:
        await conn.execute(sa.insert(tables.state).values(id=1, **guard.seal_state(0, 0)))
    return database, guard


@dataclass
class Store:
    """A founded database, what stands on it, and raw SQL beside it."""

    url: str
    database: Database
    guard: Guard

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(self.database, self.guard)

    def source(self, least_generation: int = 0) -> SqlStateSource:
        """Each is a replica of its own."""
        return SqlStateSource(self.database, self.guard, least_generation)

    async def sql(self, statement: sa.Executable) -> None:
        """What somebody does who can write the database and has no keys."""
        async with self.database.write() as conn:
            await conn.execute(statement)

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async with self.database.read() as conn:
            return [dict(row._mapping) for row in await conn.execute(sa.select(table))]

    async def dump(self) -> dict[sa.Table, list[dict[str, Any]]]:
        return {table: await self.rows(table) for table in tables.metadata.sorted_tables}

    async def bring_back(self, dump: dict[sa.Table, list[dict[str, Any]]]) -> None:
        """An old backup put back, whole."""
        async with self.database.write() as conn:
            for table, rows in dump.items():
                await conn.execute(sa.delete(table))
                if rows:
                    await conn.execute(sa.insert(table), rows)

    async def put(self, *things: Credential | Binding | Revision) -> int:
        """One change that writes them; gives its generation."""
        async with self.ledger.change() as change:
            for thing in things:
                match thing:
                    case Credential():
                        await change.put_credential(thing)
                    case Binding():
                        await change.put_binding(thing)
                    case _:
                        await change.put_revision(thing)
        return change.generation


NOW = datetime(2026, 2, 3, 12, 0, 0, 123_456, UTC)


def credential(credential_id: str = "main", project: str = "acme", **changes: Any) -> Credential:
    everything: dict[str, Any] = {
        "project": project,
        "credential_id": credential_id,
        "uid": f"uid-{project}-{credential_id}",
        "kind": "aws_access_key",
        "provider": "s3",
        "principal_hint": "AKIA…MPLE",
        "state": CredentialState.ENABLED,
        "scope": Scope(
            (ScopeRule("https://s3.amazonaws.com", "photos", "", frozenset(Permission)),),
            frozenset({"beta"}),
        ),
        "create_time": NOW,
        "update_time": NOW,
        "expire_time": NOW + timedelta(days=30),
        "envelope": Envelope(b'{"v":1}', "keyring/k1", b"wrapped", b"nonce", b"ciphertext"),
    }
    return Credential(**everything | changes)


def bound(
    binding_id: str = "photos", project: str = "acme", credential_id: str = "main", **changes: Any
) -> tuple[Binding, Revision]:
    """A binding with its first revision; ``changes`` are the binding's."""
    uid = changes.pop("uid", f"uid-{project}-{binding_id}")
    everything: dict[str, Any] = {
        "project": project,
        "binding_id": binding_id,
        "uid": uid,
        "binding_class": BindingClass.CUSTOMER,
        "permissions": frozenset({Permission.READ}),
        "max_url_lifetime": timedelta(hours=1),
        "stable_window": timedelta(minutes=15),
        "active": 1,
        "holders": (f"projects/{project}/buckets/b",),
        "create_time": NOW,
        "update_time": NOW,
    }
    revision = Revision(
        binding_uid=uid,
        number=1,
        credential=f"projects/{project}/credentials/{credential_id}",
        credential_uid=f"uid-{project}-{credential_id}",
        location=Location(Provider.S3, "photos", "eu-west-1", requester_pays=True),
        location_epoch=1,
        state=RevisionState.ACTIVE,
        create_time=NOW,
    )
    return Binding(**everything | changes), revision
