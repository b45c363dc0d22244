"""Pages of keys, written a thousand at a time: the path that a million images come in by.

One SELECT tells what is there, since the bucket's lock keeps it so; then one statement for all new
rows, one for all changed ones and one for those that were only seen again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.app.keys import is_storable
from catalog.domain.ports import ListedEntry, PageCounts
from catalog.storage.images import LockedBucket, lock_bucket
from catalog.storage.page_rows import IN, ListedPage, NamedPage, Row
from catalog.storage.tables import images

_COLUMNS = (
    images.c.key,
    images.c.size,
    images.c.etag,
    images.c.version_epoch,
    images.c.excluded,
    images.c.source_state,
    images.c.info_state,
)


async def write_listed(
    conn: AsyncConnection,
    bucket_uid: str,
    entries: Sequence[ListedEntry],
    version_epoch: int,
    now: datetime,
    max_images: int,
) -> PageCounts:
    """See :func:`catalog.storage.jobs.write_listing_page`."""
    _check(entry.key for entry in entries)
    bucket = await lock_bucket(conn, bucket_uid)
    if bucket is None:
        return PageCounts(gone=True)
    by_key = {entry.key: entry for entry in entries}
    page = ListedPage(bucket, now, max_images, version_epoch)
    page.existing = len(entries) - len(by_key)
    rows, only_these = await _there(conn, bucket, sorted(by_key))
    for row in rows:
        page.again(row, by_key.pop(row[0]))
    for entry in by_key.values():
        page.new(entry)
    await page.write(conn, only_these)
    return page.counts()


async def write_named(
    conn: AsyncConnection, bucket_uid: str, keys: Sequence[str], now: datetime, max_images: int
) -> PageCounts:
    """See :func:`catalog.storage.jobs.write_named_keys`."""
    _check(keys)
    bucket = await lock_bucket(conn, bucket_uid)
    if bucket is None:
        return PageCounts(gone=True)
    wanted = dict.fromkeys(keys)
    page = NamedPage(bucket, now, max_images)
    page.existing = len(keys) - len(wanted)
    rows, _ = await _there(conn, bucket, sorted(wanted))
    for row in rows:
        del wanted[row[0]]
        page.again(row)
    for key in wanted:
        page.new(key)
    await page.write(conn)
    return page.counts()


def _check(keys: Iterable[str]) -> None:
    if not all(is_storable(key) for key in keys):
        raise ValueError("a key can't be kept: leave out what is_storable refuses")


async def _there(
    conn: AsyncConnection, bucket: LockedBucket, keys: Sequence[str]
) -> tuple[Sequence[Row], bool]:
    """The rows of these sorted keys, and whether no other row lies between the first and the last.

    Read as a range when there isn't much else in it, which is what a listing's pages are.
    """
    if not keys:
        return [], True
    limit = 2 * len(keys) + 100
    among = sa.select(*_COLUMNS).where(images.c.bucket_no == bucket.no)
    ranged = among.where(images.c.key >= keys[0], images.c.key <= keys[-1]).limit(limit)
    rows: Sequence[Any] = (await conn.execute(ranged)).all()
    if len(rows) < limit:
        wanted = set(keys)
        found = [row for row in rows if row[0] in wanted]
        return found, len(found) == len(rows)
    sparse: list[Any] = []
    for at in range(0, len(keys), IN):
        some = among.where(images.c.key.in_(keys[at : at + IN]))
        sparse += await conn.execute(some)
    return sparse, False
