"""Request ids: the port RequestStore on the table."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.storage.tables import requests

KEPT = timedelta(hours=24)


class RequestTable:
    """See :class:`catalog.domain.stores.RequestStore`."""

    async def claim(
        self, tx: AsyncConnection, scope: bytes, digest: bytes, operation_id: str, now: datetime
    ) -> tuple[bytes, str]:
        await tx.execute(sa.delete(requests).where(requests.c.expire_time <= now))
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        # On PostgreSQL an insert of the same scope waits until the other one has committed.
        statement = insert(requests).values(
            scope=scope, digest=digest, operation_id=operation_id, expire_time=now + KEPT
        )
        await tx.execute(statement.on_conflict_do_nothing(index_elements=["scope"]))
        row = (
            await tx.execute(
                sa.select(requests.c.digest, requests.c.operation_id).where(
                    requests.c.scope == scope
                )
            )
        ).one()
        return bytes(row.digest), row.operation_id
