"""Images by id and by key: the port ImageStore on the table.

Whatever writes images locks their bucket's row first (:func:`lock_bucket`), so that two
transactions never decide on the same image at once and the bucket's counts stay exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import Image, ProbePolicy, SourceState, image_id
from catalog.storage.records import hash_of_id, image_of, prefix_end
from catalog.storage.tables import buckets, images
from catalog.storage.tally import Tally


@dataclass(frozen=True, slots=True)
class LockedBucket:
    no: int
    uid: str
    probe: bool
    rows: int
    """Images that it has, excluded ones among them."""


async def lock_bucket(conn: AsyncConnection, bucket_uid: str) -> LockedBucket | None:
    """The bucket, and nobody else writes its images until the transaction ends; None if unmounted.

    On SQLite the transaction holds the only write lock already.
    """
    statement = (
        sa.select(buckets.c.no, buckets.c.probe_policy, buckets.c.images + buckets.c.excluded)
        .where(buckets.c.uid == bucket_uid, buckets.c.delete_time.is_(None))
        .with_for_update()
    )
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        return None
    return LockedBucket(row[0], bucket_uid, row[1] == ProbePolicy.HEADERS, row[2])


class ImageTable:
    """See :class:`catalog.domain.stores.ImageStore`."""

    async def by_ids(
        self, tx: AsyncConnection, bucket_uid: str, ids: Sequence[str]
    ) -> dict[str, Image]:
        wanted = set(ids)
        hashes = {found for one in wanted if (found := hash_of_id(one)) is not None}
        if not hashes:
            return {}
        statement = sa.select(images).where(
            images.c.id_hash.in_(sorted(hashes)), images.c.bucket_no == _number(bucket_uid)
        )
        found_images = [image_of(bucket_uid, row) for row in await tx.execute(statement)]
        # 64 bits are an index, not proof: the id computed from the key is.
        return {image.image_id: image for image in found_images if image.image_id in wanted}

    async def page(
        self,
        tx: AsyncConnection,
        bucket_uid: str,
        prefix: str,
        after: str,
        show_excluded: bool,
        limit: int,
    ) -> list[Image]:
        statement = sa.select(images).where(
            images.c.bucket_no == _number(bucket_uid),
            *key_range(prefix, after),
        )
        if not show_excluded:
            statement = statement.where(images.c.excluded.is_(False))
        rows = await tx.execute(statement.order_by(images.c.key).limit(limit))
        return [image_of(bucket_uid, row) for row in rows]

    async def exclude(
        self, tx: AsyncConnection, bucket_uid: str, image_id: str, now: datetime
    ) -> bool:
        bucket = await lock_bucket(tx, bucket_uid)
        row = None if bucket is None else await _by_id(tx, bucket, image_id)
        if bucket is None or row is None:
            return False
        if not row.excluded:
            tally = Tally()
            tally.add(False, row.source_state, row.info_state, -1)
            tally.add(True, row.source_state, row.info_state)
            await tx.execute(_one(bucket, row.key).values(excluded=True, update_time=now))
            await tally.write(tx, bucket.no)
        return True

    async def set_source_state(
        self,
        tx: AsyncConnection,
        bucket_uid: str,
        image_id: str,
        state: SourceState,
        now: datetime,
    ) -> None:
        bucket = await lock_bucket(tx, bucket_uid)
        row = None if bucket is None else await _by_id(tx, bucket, image_id)
        if bucket is None or row is None or row.source_state == SourceState.UNSIGNABLE:
            return
        values: dict[str, Any] = {"check_time": now}
        if row.source_state != state:
            values |= {"source_state": state, "update_time": now}
            tally = Tally()
            tally.add(row.excluded, row.source_state, row.info_state, -1)
            tally.add(row.excluded, state, row.info_state)
            await tally.write(tx, bucket.no)
        await tx.execute(_one(bucket, row.key).values(values))


def key_range(prefix: str, after: str) -> list[sa.ColumnElement[bool]]:
    """Keys that begin with ``prefix`` and come after ``after``: a range of the index, no LIKE."""
    found: list[sa.ColumnElement[bool]] = []
    if prefix > after:
        found.append(images.c.key >= prefix)
    else:
        found.append(images.c.key > after)
    end = prefix_end(prefix)
    if end is not None:
        found.append(images.c.key < end)
    return found


def _number(bucket_uid: str) -> sa.ScalarSelect[int]:
    return sa.select(buckets.c.no).where(buckets.c.uid == bucket_uid).scalar_subquery()


def _one(bucket: LockedBucket, key: str) -> sa.Update:
    return sa.update(images).where(images.c.bucket_no == bucket.no, images.c.key == key)


async def _by_id(conn: AsyncConnection, bucket: LockedBucket, wanted: str) -> Any:
    hashed = hash_of_id(wanted)
    if hashed is None:
        return None
    statement = sa.select(
        images.c.key, images.c.excluded, images.c.source_state, images.c.info_state
    ).where(images.c.id_hash == hashed, images.c.bucket_no == bucket.no)
    for row in await conn.execute(statement):
        if image_id(bucket.uid, row.key) == wanted:
            return row
    return None
