"""The first start: a deployment's name, its integrity root and generation zero.

Also what a start needs before any row can be verified: the roots as they are stored.
"""

import sqlalchemy as sa

from serving.database import Database
from signer.storage import tables
from signer.storage.guard import Guard


class Founding:
    """Reads and writes what isn't authenticated by a row's code but by the key-encryption key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def deployment(self) -> str | None:
        """The name that the database was founded under, or None before its first start."""
        async with self._database.read() as conn:
            return (await conn.execute(sa.select(tables.state.c.deployment))).scalar()

    async def generation(self) -> int:
        """The newest, as it stands there; 0 before the first start."""
        async with self._database.read() as conn:
            return (await conn.execute(sa.select(tables.state.c.generation))).scalar() or 0

    async def root(self) -> tuple[str, str, bytes] | None:
        """Key id, key-encryption key reference and wrapped root; the newest."""
        table = tables.integrity_keys
        query = sa.select(table).order_by(table.c.create_time.desc()).limit(1)
        async with self._database.read() as conn:
            row = (await conn.execute(query)).first()
        return None if row is None else (row.key_id, row.kek_ref, bytes(row.wrapped_key))

    async def found(self, root: tuple[str, str, bytes], guard: Guard, created_micros: int) -> bool:
        """Writes root and state in one transaction; False when another process was first."""
        key_id, kek_ref, wrapped = root
        async with self._database.write() as conn:
            if conn.dialect.name == "postgresql":
                await conn.execute(sa.text("LOCK TABLE state IN ACCESS EXCLUSIVE MODE"))
            if (await conn.execute(sa.select(tables.state.c.id))).first() is not None:
                return False
            await conn.execute(
                sa.insert(tables.integrity_keys).values(
                    key_id=key_id, kek_ref=kek_ref, wrapped_key=wrapped, create_time=created_micros
                )
            )
            await conn.execute(sa.insert(tables.state).values(id=1, **guard.seal_state(0, 0)))
        return True

    async def anchor(self, writer: str, key_id: str, start_mac: bytes, started_micros: int) -> None:
        """Where an audit chain begins: a chain that begins elsewhere isn't one of ours."""
        async with self._database.write() as conn:
            await conn.execute(
                sa.insert(tables.audit_chains).values(
                    writer=writer,
                    mac_key_id=key_id,
                    start_mac=start_mac,
                    start_time=started_micros,
                )
            )

    async def lift(self, writer: str) -> None:
        """Takes an anchor back: its chain never began."""
        table = tables.audit_chains
        async with self._database.write() as conn:
            await conn.execute(sa.delete(table).where(table.c.writer == writer))

    async def anchors(self) -> dict[str, bytes]:
        """Each audit writer's first code."""
        table = tables.audit_chains
        async with self._database.read() as conn:
            rows = await conn.execute(sa.select(table.c.writer, table.c.start_mac))
            return {row.writer: bytes(row.start_mac) for row in rows}
