"""Buckets: the port BucketStore on the table."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import Bucket, Health
from catalog.storage.records import bucket_of
from catalog.storage.tables import buckets

_LIVE = buckets.c.delete_time.is_(None)


class BucketTable:
    """See :class:`catalog.domain.stores.BucketStore`."""

    async def insert(self, tx: AsyncConnection, bucket: Bucket) -> bool:
        insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        statement = insert(buckets).values(_columns(bucket))
        result = await tx.execute(
            statement.on_conflict_do_nothing(
                index_elements=["project", "bucket_id"], index_where=_LIVE
            ).returning(buckets.c.uid)
        )
        return result.first() is not None

    async def intend(self, tx: AsyncConnection, bucket: Bucket) -> None:
        values = {**_columns(bucket), "delete_time": bucket.create_time}
        await tx.execute(sa.insert(buckets).values(values))

    async def withdraw(self, tx: AsyncConnection, bucket_uid: str) -> bool:
        result = await tx.execute(sa.delete(buckets).where(buckets.c.uid == bucket_uid, ~_LIVE))
        return result.rowcount == 1

    async def get(self, tx: AsyncConnection, project: str, bucket_id: str) -> Bucket | None:
        row = (await tx.execute(_named(project, bucket_id))).one_or_none()
        return None if row is None else bucket_of(row)

    async def lock(self, tx: AsyncConnection, project: str, bucket_id: str) -> Bucket | None:
        statement = _named(project, bucket_id).with_for_update()
        row = (await tx.execute(statement)).one_or_none()
        return None if row is None else bucket_of(row)

    async def page(self, tx: AsyncConnection, project: str, after: str, limit: int) -> list[Bucket]:
        statement = (
            sa.select(buckets)
            .where(buckets.c.project == project, buckets.c.bucket_id > after, _LIVE)
            .order_by(buckets.c.bucket_id)
            .limit(limit)
        )
        return [bucket_of(row) for row in await tx.execute(statement)]

    async def update(self, tx: AsyncConnection, bucket: Bucket) -> None:
        await tx.execute(
            sa.update(buckets)
            .where(buckets.c.uid == bucket.uid, _LIVE)
            .values(
                display_name=bucket.display_name,
                probe_policy=bucket.probe_policy,
                etag=bucket.etag,
                update_time=bucket.update_time,
            )
        )

    async def tombstone(self, tx: AsyncConnection, bucket: Bucket, now: datetime) -> None:
        await tx.execute(
            sa.update(buckets).where(buckets.c.uid == bucket.uid, _LIVE).values(delete_time=now)
        )

    async def holds(self, tx: AsyncConnection, project: str, bucket_id: str, binding: str) -> bool:
        statement = (
            sa.select(sa.literal(1))
            .where(buckets.c.project == project, buckets.c.bucket_id == bucket_id, _LIVE)
            .where(buckets.c.binding == binding)
        )
        return (await tx.execute(statement)).first() is not None

    async def has_tombstone(
        self, tx: AsyncConnection, project: str, bucket_id: str, binding: str
    ) -> bool:
        statement = (
            sa.select(sa.literal(1))
            .where(buckets.c.project == project, buckets.c.bucket_id == bucket_id, ~_LIVE)
            .where(buckets.c.binding == binding)
            .limit(1)
        )
        return (await tx.execute(statement)).first() is not None

    async def set_health(self, tx: AsyncConnection, bucket_uid: str, health: Health) -> None:
        await tx.execute(
            sa.update(buckets)
            .where(buckets.c.uid == bucket_uid, _LIVE)
            .values(
                health_state=health.state,
                health_reason=health.reason,
                health_time=health.check_time,
            )
        )


def _columns(bucket: Bucket) -> dict[str, Any]:
    return {
        "uid": bucket.uid,
        "project": bucket.project,
        "bucket_id": bucket.bucket_id,
        "binding": bucket.binding,
        "mode": bucket.mode,
        "probe_policy": bucket.probe_policy,
        "display_name": bucket.display_name,
        "etag": bucket.etag,
        "create_time": bucket.create_time,
        "update_time": bucket.update_time,
    }


def _named(project: str, bucket_id: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(buckets).where(
        buckets.c.project == project, buckets.c.bucket_id == bucket_id, _LIVE
    )
