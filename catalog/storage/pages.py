"""Pages of keys, written a thousand at a time: the path that a million images come in by.

One SELECT tells what is there, since the bucket's lock keeps it so; then one statement for all new
rows, one for all changed ones and one for those that were only seen again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.app.keys import is_signable, is_storable
from catalog.domain.model import InfoState, SourceState
from catalog.domain.ports import ListedEntry, PageCounts
from catalog.storage.images import LockedBucket, lock_bucket
from catalog.storage.records import id_hasher
from catalog.storage.tables import images
from catalog.storage.tally import Tally

_IN = 1000
_COLUMNS = (
    images.c.key,
    images.c.size,
    images.c.etag,
    images.c.version_epoch,
    images.c.excluded,
    images.c.source_state,
    images.c.info_state,
)
_THIS = sa.and_(images.c.bucket_no == sa.bindparam("no"), images.c.key == sa.bindparam("of_key"))
_SEEN: dict[str, Any] = {
    "source_state": sa.bindparam("source"),
    "size": sa.bindparam("to_size"),
    "etag": sa.bindparam("to_etag"),
    "last_modified": sa.bindparam("modified"),
    "version_epoch": sa.bindparam("epoch"),
    "check_time": sa.bindparam("now"),
    "update_time": sa.bindparam("now"),
}
# The same bytes, in another state or another location: a version of one isn't one of the other.
_MOVE = (
    sa.update(images)
    .where(_THIS)
    .values(
        _SEEN
        | {
            "version": sa.case(
                (images.c.version_epoch == sa.bindparam("epoch"), images.c.version), else_=""
            )
        }
    )
)
# Other bytes: no fact of the old ones may outlive them.
_RENEW = (
    sa.update(images)
    .where(_THIS)
    .values(
        _SEEN
        | {
            "info_state": sa.bindparam("info"),
            "version": "",
            "info_reason": "",
            "media_type": "",
            "width": 0,
            "height": 0,
            "orientation": 0,
        }
    )
)
_RESTORE = sa.update(images).where(_THIS).values(excluded=False, update_time=sa.bindparam("now"))


async def write_listed(
    conn: AsyncConnection,
    bucket_uid: str,
    entries: Sequence[ListedEntry],
    version_epoch: int,
    now: datetime,
) -> PageCounts:
    """See :func:`catalog.storage.jobs.write_listing_page`."""
    _check(entry.key for entry in entries)
    bucket = await lock_bucket(conn, bucket_uid)
    if bucket is None:
        return PageCounts(gone=True)
    by_key = {entry.key: entry for entry in entries}
    page = _ListedPage(bucket, now, version_epoch)
    page.existing = len(entries) - len(by_key)
    for row in await _there(conn, bucket, sorted(by_key)):
        page.again(row, by_key.pop(row.key))
    for entry in by_key.values():
        page.new(entry)
    await page.write(conn)
    return page.counts()


async def write_named(
    conn: AsyncConnection, bucket_uid: str, keys: Sequence[str], now: datetime
) -> PageCounts:
    """See :func:`catalog.storage.jobs.write_named_keys`."""
    _check(keys)
    bucket = await lock_bucket(conn, bucket_uid)
    if bucket is None:
        return PageCounts(gone=True)
    wanted = dict.fromkeys(keys)
    page = _NamedPage(bucket, now)
    page.existing = len(keys) - len(wanted)
    for row in await _there(conn, bucket, sorted(wanted)):
        del wanted[row.key]
        page.again(row)
    for key in wanted:
        page.new(key)
    await page.write(conn)
    return page.counts()


def _check(keys: Iterable[str]) -> None:
    if not all(is_storable(key) for key in keys):
        raise ValueError("a key can't be kept: leave out what is_storable refuses")


async def _there(conn: AsyncConnection, bucket: LockedBucket, keys: Sequence[str]) -> list[Any]:
    """The rows of these sorted keys, by way of their range when there isn't much else in it."""
    if not keys:
        return []
    limit = 2 * len(keys) + 100
    among = sa.select(*_COLUMNS).where(images.c.bucket_no == bucket.no)
    ranged = among.where(images.c.key >= keys[0], images.c.key <= keys[-1]).limit(limit)
    rows = (await conn.execute(ranged)).all()
    if len(rows) < limit:
        wanted = set(keys)
        return [row for row in rows if row.key in wanted]
    found: list[Any] = []
    for at in range(0, len(keys), _IN):
        found += await conn.execute(among.where(images.c.key.in_(keys[at : at + _IN])))
    return found


class _Page:
    """What is to be written, gathered row by row, and what it adds up to."""

    def __init__(self, bucket: LockedBucket, now: datetime) -> None:
        self._bucket = bucket
        self._now = now
        self._hash = id_hasher(bucket.uid)
        self._new: list[dict[str, Any]] = []
        self.tally = Tally()
        self.existing = self.excluded = self.unsignable = self.to_probe = 0

    def counts(self) -> PageCounts:
        created = len(self._new)
        return PageCounts(
            listed=created + self.existing + self.excluded,
            created=created,
            existing=self.existing,
            excluded=self.excluded,
            unsignable=self.unsignable,
            to_probe=self.to_probe,
        )

    def unread(self, source: SourceState) -> InfoState:
        """The state of an image that is still to be looked into, or isn't to be."""
        if source is SourceState.UNSIGNABLE or not self._bucket.probe:
            return InfoState.SKIPPED
        return InfoState.PENDING

    def add(self, key: str, source: SourceState, **values: Any) -> InfoState:
        info = self.unread(source)
        self.tally.add(False, source, info)
        self.unsignable += source is SourceState.UNSIGNABLE
        self._new.append(
            {
                "bucket_no": self._bucket.no,
                "key": key,
                "id_hash": self._hash(key),
                "source_state": source,
                "info_state": info,
                "create_time": self._now,
                "update_time": self._now,
                **values,
            }
        )
        return info

    def this(self, key: str) -> dict[str, Any]:
        return {"no": self._bucket.no, "of_key": key, "now": self._now}

    async def write_new(self, conn: AsyncConnection) -> None:
        if self._new:
            await conn.execute(sa.insert(images), self._new)
        await self.tally.write(conn, self._bucket.no)


class _ListedPage(_Page):
    def __init__(self, bucket: LockedBucket, now: datetime, epoch: int) -> None:
        super().__init__(bucket, now)
        self._epoch = epoch
        self._moved: list[dict[str, Any]] = []
        self._renewed: list[dict[str, Any]] = []
        self._same: list[str] = []

    def new(self, entry: ListedEntry) -> None:
        info = self.add(
            entry.key,
            _source(entry),
            size=entry.size,
            etag=entry.etag,
            version_epoch=self._epoch,
            last_modified=entry.last_modified,
            check_time=self._now,
        )
        self.to_probe += info is InfoState.PENDING

    def again(self, row: Any, entry: ListedEntry) -> None:
        if row.excluded:
            self.excluded += 1
            return
        source = _source(entry)
        # Equal entity tags and sizes are equal bytes in another location, too. A multipart tag, or
        # that of an encrypted object, differs there; then the image is looked into anew.
        same_bytes = row.etag == entry.etag and row.size == entry.size
        read = row.info_state in (InfoState.PROBED, InfoState.NOT_AN_IMAGE)
        info = row.info_state if same_bytes and read else self.unread(source)
        self.existing += 1
        self.unsignable += source is SourceState.UNSIGNABLE
        self.to_probe += info == InfoState.PENDING
        if not same_bytes or info != row.info_state:
            self._renewed.append(self._seen(entry, source) | {"info": info})
        elif row.source_state != source or row.version_epoch != self._epoch:
            self._moved.append(self._seen(entry, source))
        else:
            self._same.append(entry.key)
            return
        self.tally.add(False, row.source_state, row.info_state, -1)
        self.tally.add(False, source, info)

    def _seen(self, entry: ListedEntry, source: SourceState) -> dict[str, Any]:
        return self.this(entry.key) | {
            "source": source,
            "to_size": entry.size,
            "to_etag": entry.etag,
            "modified": entry.last_modified,
            "epoch": self._epoch,
        }

    async def write(self, conn: AsyncConnection) -> None:
        for statement, rows in ((_RENEW, self._renewed), (_MOVE, self._moved)):
            if rows:
                await conn.execute(statement, rows)
        await self._touch(conn)
        await self.write_new(conn)

    async def _touch(self, conn: AsyncConnection) -> None:
        for at in range(0, len(self._same), _IN):
            keys = self._same[at : at + _IN]
            await conn.execute(
                sa.update(images)
                .where(images.c.bucket_no == self._bucket.no, images.c.key.in_(keys))
                .values(check_time=self._now)
            )


class _NamedPage(_Page):
    def __init__(self, bucket: LockedBucket, now: datetime) -> None:
        super().__init__(bucket, now)
        self._restored: list[dict[str, Any]] = []

    def new(self, key: str) -> None:
        source = SourceState.UNKNOWN if is_signable(key) else SourceState.UNSIGNABLE
        self._expect(source)
        self.add(key, source, size=0, etag="")

    def again(self, row: Any) -> None:
        self.existing += 1
        self._expect(row.source_state)
        if row.excluded:
            self._restored.append(self.this(row.key))
            self.tally.add(True, row.source_state, row.info_state, -1)
            self.tally.add(False, row.source_state, row.info_state)
        if row.source_state == SourceState.UNSIGNABLE:
            self.unsignable += 1

    def _expect(self, source: str) -> None:
        # Only a look can tell whether a named object changed, so each is looked into.
        self.to_probe += self._bucket.probe and source != SourceState.UNSIGNABLE

    async def write(self, conn: AsyncConnection) -> None:
        if self._restored:
            await conn.execute(_RESTORE, self._restored)
        await self.write_new(conn)


def _source(entry: ListedEntry) -> SourceState:
    return SourceState.AVAILABLE if entry.signable else SourceState.UNSIGNABLE
