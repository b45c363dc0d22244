"""The StateSource port: what changed since the last poll, and whether it all still adds up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from serving.database import Database
from serving.faults import Fault
from signer.domain.ports import StateChange
from signer.domain.reasons import Reason
from signer.storage import tables
from signer.storage.guard import Guard, StateRow, add, subtract, tampered
from signer.storage.queries import Queries
from signer.storage.rows import Row, binding_of, credential_of, revision_of

_TABLES = (tables.credentials, tables.bindings, tables.revisions)
Rows = dict[sa.Table, list[Row]]


class SqlStateSource:
    """Keeps the contribution of every row it has seen, to add a difference up to a whole.

    ``least_generation`` is what the audit log has seen: a database that is behind it is an old one.
    """

    def __init__(self, database: Database, guard: Guard, least_generation: int = 0) -> None:
        self._database = database
        self._guard = guard
        self._seen = -1
        self._least = least_generation
        self._digest = 0
        self._contributions: dict[tuple[str, ...], int] = {}

    async def poll(self) -> StateChange | None:
        async with self._database.read() as conn:
            state = await Queries(conn, self._guard).state()
        self._check_age(state)
        if state.generation == self._seen:
            if state.digest != self._digest:
                raise tampered()
            return None
        async with self._snapshot() as (conn, state):
            self._check_age(state)
            changed = await self._rows(conn, self._seen)
            if self._apply(changed) == state.digest:
                return self._result(state, changed, full=self._seen < 0)
            # A row is gone that was there before: purged, or taken out by somebody else.
            self._forget()
            everything = await self._rows(conn, -1)
            if self._apply(everything) != state.digest:
                self._forget()
                raise tampered()
            return self._result(state, everything, full=True)

    def at_least(self, generation: int) -> None:
        """A change of our own was committed: a database that doesn't show it has been undone."""
        self._least = max(self._least, generation)

    def _check_age(self, state: StateRow) -> None:
        if state.generation < max(self._seen, self._least):
            raise Fault(Reason.STATE_ROLLED_BACK, "The database is older than what was seen of it.")

    def _forget(self) -> None:
        """Begins anew, but never with an older generation than was seen."""
        self._least, self._seen = max(self._least, self._seen), -1
        self._digest = 0
        self._contributions.clear()

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[tuple[AsyncConnection, StateRow]]:
        """One snapshot for state and rows, on both databases."""
        async with self._database.read() as conn:
            if conn.dialect.name == "postgresql":
                await conn.rollback()
                await conn.execution_options(isolation_level="REPEATABLE READ")
            yield conn, await Queries(conn, self._guard).state()

    async def _rows(self, conn: AsyncConnection, since: int) -> Rows:
        queries = Queries(conn, self._guard)
        found: Rows = {}
        for table in _TABLES:
            query = sa.select(table).where(table.c.generation > since)
            found[table] = await queries.rows(table, query)
        return found

    def _apply(self, rows: Rows) -> int:
        for table, found in rows.items():
            keys = [column.name for column in table.primary_key]
            for row in found:
                key = (table.name, *(str(row[name]) for name in keys))
                contribution = self._guard.contribution(row)
                self._digest = subtract(self._digest, self._contributions.get(key, 0))
                self._digest = add(self._digest, contribution)
                self._contributions[key] = contribution
        return self._digest

    def _result(self, state: StateRow, rows: Rows, *, full: bool) -> StateChange:
        self._seen = state.generation
        return StateChange(
            generation=state.generation,
            full=full,
            credentials=[credential_of(row) for row in rows[tables.credentials]],
            bindings=[binding_of(row) for row in rows[tables.bindings]],
            revisions=[revision_of(row) for row in rows[tables.revisions]],
        )
