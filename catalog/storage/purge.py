"""What is left to do when a bucket was unmounted: images to delete, a binding to release.

Called through :mod:`catalog.storage.jobs`, under the same rules.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.storage.buckets import BucketTable
from catalog.storage.tables import buckets, images


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An unmounted bucket. ``release`` is False when a new bucket of the name has its binding."""

    bucket_uid: str
    bucket_name: str
    binding: str
    release: bool


async def tombstone(conn: AsyncConnection, bucket_uid: str) -> Tombstone | None:
    """An unmounted bucket that isn't purged yet; None when it is mounted or gone."""
    statement = sa.select(buckets).where(
        buckets.c.uid == bucket_uid, buckets.c.delete_time.is_not(None)
    )
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        return None
    held = await BucketTable().holds(conn, row.project, row.bucket_id, row.binding)
    name = f"projects/{row.project}/buckets/{row.bucket_id}"
    return Tombstone(bucket_uid, name, row.binding, release=not held)


async def purge_bucket_chunk(conn: AsyncConnection, bucket_uid: str, limit: int) -> int:
    """Deletes up to ``limit`` images of an unmounted bucket; how many there were to delete.

    0 when nothing is left: then :func:`drop_bucket`. A mounted bucket is left alone.
    """
    unmounted = sa.select(buckets.c.no).where(
        buckets.c.uid == bucket_uid, buckets.c.delete_time.is_not(None)
    )
    number = (await conn.execute(unmounted)).scalar_one_or_none()
    if number is None:
        return 0
    some = (
        sa.select(images.c.key)
        .where(images.c.bucket_no == number)
        .order_by(images.c.key)
        .limit(limit)
    )
    result = await conn.execute(
        sa.delete(images).where(images.c.bucket_no == number, images.c.key.in_(some))
    )
    return result.rowcount


async def drop_bucket(conn: AsyncConnection, bucket_uid: str) -> None:
    """Deletes an unmounted bucket's own row, once it has no images and its binding is released."""
    await conn.execute(
        sa.delete(buckets).where(buckets.c.uid == bucket_uid, buckets.c.delete_time.is_not(None))
    )
