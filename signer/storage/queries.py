"""Reads that verify what they read, on whatever connection they are given."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from signer.domain.bindings import BoundRevision, Revision
from signer.domain.credentials import Credential
from signer.storage import tables
from signer.storage.guard import Guard, StateRow, tampered
from signer.storage.rows import Row, binding_of, credential_of, moment, revision_of

_b, _c, _r = tables.bindings.c, tables.credentials.c, tables.revisions.c
_SIGNING_STATES = ("ACTIVE", "STAGED")


class Queries:
    """One connection, one guard. STATE_TAMPERED wherever a row isn't what was written."""

    def __init__(self, conn: AsyncConnection, guard: Guard) -> None:
        self._conn = conn
        self._guard = guard

    async def rows(self, table: sa.Table, query: sa.Select[Any]) -> list[Row]:
        found = [dict(row._mapping) for row in await self._conn.execute(query)]
        for row in found:
            self._guard.verify(table, row)
        return found

    async def state(self, *, lock: bool = False) -> StateRow:
        query = sa.select(tables.state).where(tables.state.c.id == 1)
        row = (await self._conn.execute(query.with_for_update() if lock else query)).first()
        return self._guard.verify_state(None if row is None else dict(row._mapping))

    async def credential(self, project: str, credential_id: str) -> Credential | None:
        query = sa.select(tables.credentials).where(
            _c.project == project, _c.credential_id == credential_id
        )
        rows = await self.rows(tables.credentials, query)
        return credential_of(rows[0]) if rows else None

    async def binding(self, project: str, binding_id: str) -> BoundRevision | None:
        query = sa.select(tables.bindings).where(
            _b.project == project, _b.binding_id == binding_id, _b.delete_time.is_(None)
        )
        found = await self._with_active(query)
        return found[0] if found else None

    async def revision(self, binding_uid: str, number: int) -> Revision | None:
        query = sa.select(tables.revisions).where(
            _r.binding_uid == binding_uid, _r.number == number
        )
        rows = await self.rows(tables.revisions, query)
        return revision_of(rows[0]) if rows else None

    async def users(self, credential_uid: str) -> list[BoundRevision]:
        using = sa.select(_r.binding_uid).where(
            _r.credential_uid == credential_uid, _r.state.in_(_SIGNING_STATES)
        )
        query = sa.select(tables.bindings).where(_b.uid.in_(using), _b.delete_time.is_(None))
        return await self._with_active(query.order_by(_b.project, _b.binding_id))

    async def last_drain(self, credential_uid: str) -> datetime | None:
        query = sa.select(tables.revisions).where(
            _r.credential_uid == credential_uid, _r.drain_time.is_not(None)
        )
        rows = await self.rows(tables.revisions, query)
        return moment(max((row["drain_time"] for row in rows), default=None))

    async def credentials(self, project: str, after: str, limit: int) -> list[Credential]:
        query = (
            sa.select(tables.credentials)
            .where(_c.project == project, _c.credential_id > after)
            .order_by(_c.credential_id)
            .limit(limit)
        )
        return [credential_of(row) for row in await self.rows(tables.credentials, query)]

    async def bindings(self, project: str, after: str, limit: int) -> list[BoundRevision]:
        query = (
            sa.select(tables.bindings)
            .where(_b.project == project, _b.binding_id > after, _b.delete_time.is_(None))
            .order_by(_b.binding_id)
            .limit(limit)
        )
        return await self._with_active(query)

    async def revisions(self, binding_uid: str, before: int, limit: int) -> list[Revision]:
        query = (
            sa.select(tables.revisions)
            .where(_r.binding_uid == binding_uid, _r.number < before)
            .order_by(_r.number.desc())
            .limit(limit)
        )
        return [revision_of(row) for row in await self.rows(tables.revisions, query)]

    async def _with_active(self, query: sa.Select[Any]) -> list[BoundRevision]:
        found = [binding_of(row) for row in await self.rows(tables.bindings, query)]
        pairs = [(binding.uid, binding.active) for binding in found]
        active: dict[str, Revision] = {}
        # In slices, since SQLite bounds the number of parameters.
        for start in range(0, len(pairs), 500):
            wanted = sa.tuple_(_r.binding_uid, _r.number).in_(pairs[start : start + 500])
            for row in await self.rows(tables.revisions, sa.select(tables.revisions).where(wanted)):
                active[row["binding_uid"]] = revision_of(row)
        try:
            return [BoundRevision(binding, active[binding.uid]) for binding in found]
        except KeyError:
            raise tampered() from None
