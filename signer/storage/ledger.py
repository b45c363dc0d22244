"""The Ledger port on SQLAlchemy: SQLite or PostgreSQL, one writer of the generation at a time."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.database import Database
from serving.faults import Fault
from signer.domain.bindings import Binding, BoundRevision, Revision
from signer.domain.credentials import Credential
from signer.domain.ports import RequestKey
from signer.domain.reasons import Reason
from signer.storage import tables
from signer.storage.guard import Guard, StateRow, add, subtract, tampered
from signer.storage.queries import Queries
from signer.storage.rows import Row, binding_row, credential_row, micros, revision_row

REQUEST_MEMORY = timedelta(hours=24)


class SqlLedger:
    """See ``signer.domain.ports.Ledger``. STORAGE_UNAVAILABLE when the database can't be had."""

    def __init__(self, database: Database, guard: Guard) -> None:
        self._database = database
        self._guard = guard

    @asynccontextmanager
    async def change(self) -> AsyncIterator["SqlChange"]:
        async with self._database.write() as conn:
            queries = Queries(conn, self._guard)
            change = SqlChange(conn, self._guard, queries, await queries.state(lock=True))
            yield change
            await change.finish()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Queries]:
        async with self._database.read() as conn:
            yield Queries(conn, self._guard)

    async def credential(self, project: str, credential_id: str) -> Credential | None:
        async with self._reading() as queries:
            return await queries.credential(project, credential_id)

    async def binding(self, project: str, binding_id: str) -> BoundRevision | None:
        async with self._reading() as queries:
            return await queries.binding(project, binding_id)

    async def users(self, credential_uid: str) -> list[BoundRevision]:
        async with self._reading() as queries:
            return await queries.users(credential_uid)

    async def last_drain(self, credential_uid: str) -> datetime | None:
        async with self._reading() as queries:
            return await queries.last_drain(credential_uid)

    async def credentials(self, project: str, after: str, limit: int) -> list[Credential]:
        async with self._reading() as queries:
            return await queries.credentials(project, after, limit)

    async def bindings(self, project: str, after: str, limit: int) -> list[BoundRevision]:
        async with self._reading() as queries:
            return await queries.bindings(project, after, limit)

    async def revisions(self, binding_uid: str, before: int, limit: int) -> list[Revision]:
        async with self._reading() as queries:
            return await queries.revisions(binding_uid, before, limit)


class SqlChange:
    """See ``signer.domain.ports.LedgerChange``: lives inside one transaction."""

    def __init__(
        self, conn: AsyncConnection, guard: Guard, queries: Queries, state: StateRow
    ) -> None:
        self._conn = conn
        self._guard = guard
        self._queries = queries
        self._digest = state.digest
        self._before = state.generation
        self.changed = False
        self._written: dict[tuple[Any, ...], tuple[sa.Table, sa.ColumnElement[bool], bytes]] = {}
        self.credential = queries.credential
        self.binding = queries.binding
        self.revision = queries.revision
        self.users = queries.users

    @property
    def generation(self) -> int:
        return self._before + 1

    async def put_credential(self, credential: Credential) -> None:
        table = tables.credentials
        key = table.c.uid == credential.uid
        await self._put(table, key, credential_row(credential))

    async def put_binding(self, binding: Binding) -> None:
        table = tables.bindings
        await self._put(table, table.c.uid == binding.uid, binding_row(binding))

    async def put_revision(self, revision: Revision) -> None:
        table = tables.revisions
        key = sa.and_(
            table.c.binding_uid == revision.binding_uid, table.c.number == revision.number
        )
        await self._put(table, key, revision_row(revision))

    async def _put(self, table: sa.Table, key: sa.ColumnElement[bool], row: Row) -> None:
        """Insert or update; either way the sum over all rows follows."""
        old = await self._queries.rows(table, sa.select(table).where(key))
        sealed = self._guard.seal(table, row, self.generation)
        if old:
            self._digest = subtract(self._digest, self._guard.contribution(old[0]))
            await self._conn.execute(sa.update(table).where(key).values(sealed))
        else:
            await self._conn.execute(sa.insert(table).values(sealed))
        self._digest = add(self._digest, self._guard.contribution(sealed))
        name = (table.name, *(row[column.name] for column in table.primary_key))
        self._written[name] = (table, key, sealed["mac"])
        self.changed = True

    async def earlier(self, request: RequestKey, now: datetime) -> str | None:
        table = tables.requests
        oldest = micros(now - REQUEST_MEMORY)
        await self._conn.execute(sa.delete(table).where(table.c.create_time < oldest))
        row = (await self._conn.execute(sa.select(table).where(table.c.key == request.key))).first()
        if row is None:
            return None
        if not hmac.compare_digest(bytes(row.digest), request.digest):
            raise Fault(Reason.REQUEST_ID_REUSED, "The request id was used for another request.")
        return str(row.resource)

    async def remember(self, request: RequestKey, resource: str, now: datetime) -> None:
        values = {
            "key": request.key,
            "digest": request.digest,
            "resource": resource,
            "create_time": micros(now),
        }
        await self._conn.execute(sa.insert(tables.requests).values(values))

    async def finish(self) -> None:
        """Writes the generation and the digest, if there was a change; STATE_TAMPERED if what was
        written isn't what stands there now.

        A trigger in the database can put an old row back within this very transaction, and then
        all codes are right: only a second look tells.
        """
        if not self.changed:
            return
        row = self._guard.seal_state(self.generation, self._digest)
        table = tables.state
        await self._conn.execute(sa.update(table).where(table.c.id == 1).values(row))
        self._written[("state", 1)] = (table, table.c.id == 1, row["mac"])
        for table, key, mac in self._written.values():
            found = (await self._conn.execute(sa.select(table.c.mac).where(key))).scalars().all()
            if [bytes(one) for one in found] != [mac]:
                raise tampered()
