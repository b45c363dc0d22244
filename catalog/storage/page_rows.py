"""What becomes of one page: decided row by row, written in at most four statements."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.app.keys import is_signable
from catalog.domain.model import InfoState, SourceState
from catalog.domain.ports import ListedEntry, PageCounts
from catalog.storage.images import LockedBucket
from catalog.storage.records import id_hasher
from catalog.storage.tables import images
from catalog.storage.tally import Tally
from serving.database import micros

Row = tuple[str, int, str, int, bool, str, str]
"""Key, size, etag, version epoch, excluded, source state, info state."""

IN = 1000
_INSERTED = (
    "bucket_no",
    "key",
    "id_hash",
    "source_state",
    "info_state",
    "create_time",
    "update_time",
    "size",
    "etag",
    "version_epoch",
    "last_modified",
    "check_time",
)
_PENDING = InfoState.PENDING.value
_READ = frozenset({InfoState.PROBED.value, InfoState.NOT_AN_IMAGE.value})
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


class Page:
    """What is to be written, gathered row by row, and what it adds up to."""

    def __init__(self, bucket: LockedBucket, now: datetime, max_images: int) -> None:
        self._bucket = bucket
        self._room = max_images - bucket.rows
        self._now = now
        self._micros = micros(now)
        self._hash = id_hasher(bucket.uid)
        self._new: list[tuple[Any, ...]] = []
        self._full = False
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
            full=self._full,
        )

    def has_room(self) -> bool:
        """For one more new image; once there is none, the page is full."""
        self._full = self._full or len(self._new) >= self._room
        return not self._full

    def unread(self, source: SourceState) -> InfoState:
        """The state of an image that is still to be looked into, or isn't to be."""
        if source is SourceState.UNSIGNABLE or not self._bucket.probe:
            return InfoState.SKIPPED
        return InfoState.PENDING

    def add(self, key: str, source: SourceState, *seen: Any) -> InfoState:
        """A new image; ``seen`` are the last five of the inserted columns."""
        info = self.unread(source)
        self.tally.add(False, source, info)
        self.unsignable += source is SourceState.UNSIGNABLE
        now = self._micros
        known = (self._bucket.no, key, self._hash(key), source.value, info.value, now, now)
        self._new.append(known + seen)
        return info

    def this(self, key: str) -> dict[str, Any]:
        return {"no": self._bucket.no, "of_key": key, "now": self._now}

    async def write_new(self, conn: AsyncConnection) -> None:
        if self._new:
            # Straight to the driver: it halves the processor time of an import.
            mark = "%s" if conn.dialect.name == "postgresql" else "?"
            marks = ", ".join([mark] * len(_INSERTED))
            columns = ", ".join(_INSERTED)
            await conn.exec_driver_sql(
                f"INSERT INTO images ({columns}) VALUES ({marks})",  # noqa: S608  # constants
                self._new,
            )
        await self.tally.write(conn, self._bucket.no)


class ListedPage(Page):
    """Of a listing: the store has seen these objects just now, in the location of ``epoch``."""

    def __init__(self, bucket: LockedBucket, now: datetime, max_images: int, epoch: int) -> None:
        super().__init__(bucket, now, max_images)
        self._epoch = epoch
        self._moved: list[dict[str, Any]] = []
        self._renewed: list[dict[str, Any]] = []
        self._same: list[str] = []

    def new(self, entry: ListedEntry) -> None:
        if not self.has_room():
            return
        modified = entry.last_modified
        info = self.add(
            entry.key,
            _source(entry),
            entry.size,
            entry.etag,
            self._epoch,
            None if modified is None else micros(modified),
            self._micros,
        )
        self.to_probe += info is InfoState.PENDING

    def again(self, row: Row, entry: ListedEntry) -> None:
        key, size, etag, epoch, excluded, was_source, was_info = row
        if excluded:
            self.excluded += 1
            return
        source = _source(entry)
        # Equal entity tags and sizes are equal bytes in another location, too. A multipart tag, or
        # that of an encrypted object, differs there; then the image is looked into anew.
        same_bytes = etag == entry.etag and size == entry.size
        info = was_info if same_bytes and was_info in _READ else self.unread(source).value
        self.existing += 1
        self.unsignable += source is SourceState.UNSIGNABLE
        self.to_probe += info == _PENDING
        if not same_bytes or info != was_info:
            self._renewed.append(self._seen(entry, source) | {"info": info})
        elif was_source != source or epoch != self._epoch:
            self._moved.append(self._seen(entry, source))
        else:
            self._same.append(key)
            return
        self.tally.add(False, was_source, was_info, -1)
        self.tally.add(False, source, info)

    def _seen(self, entry: ListedEntry, source: SourceState) -> dict[str, Any]:
        return self.this(entry.key) | {
            "source": source,
            "to_size": entry.size,
            "to_etag": entry.etag,
            "modified": entry.last_modified,
            "epoch": self._epoch,
        }

    async def write(self, conn: AsyncConnection, only_these: bool) -> None:
        """``only_these``: no other row lies between the page's first and last key."""
        for statement, rows in ((_RENEW, self._renewed), (_MOVE, self._moved)):
            if rows:
                await conn.execute(statement, rows)
        await self._touch(conn, only_these and not self.excluded)
        await self.write_new(conn)

    async def _touch(self, conn: AsyncConnection, as_range: bool) -> None:
        """Says of what didn't change that it was seen now."""
        same = sorted(self._same)
        if not same:
            return
        touch = (
            sa.update(images)
            .where(images.c.bucket_no == self._bucket.no)
            .values(check_time=self._now)
        )
        if as_range:  # before the new rows are in it, and the changed ones were seen now, too
            await conn.execute(touch.where(images.c.key >= same[0], images.c.key <= same[-1]))
            return
        for at in range(0, len(same), IN):
            await conn.execute(touch.where(images.c.key.in_(same[at : at + IN])))


class NamedPage(Page):
    """Of keys that someone named: whether there are such objects, a probe will tell."""

    def __init__(self, bucket: LockedBucket, now: datetime, max_images: int) -> None:
        super().__init__(bucket, now, max_images)
        self._restored: list[dict[str, Any]] = []

    def new(self, key: str) -> None:
        if not self.has_room():
            return
        source = SourceState.UNKNOWN if is_signable(key) else SourceState.UNSIGNABLE
        self._expect(source)
        self.add(key, source, 0, "", 0, None, None)

    def again(self, row: Row) -> None:
        key, _, _, _, excluded, source, info = row
        self.existing += 1
        self.unsignable += source == SourceState.UNSIGNABLE
        self._expect(source)
        if excluded:
            self._restored.append(self.this(key))
            self.tally.add(True, source, info, -1)
            self.tally.add(False, source, info)

    def _expect(self, source: str) -> None:
        # Only a look can tell whether a named object changed, so each is looked into.
        self.to_probe += self._bucket.probe and source != SourceState.UNSIGNABLE

    async def write(self, conn: AsyncConnection) -> None:
        if self._restored:
            await conn.execute(_RESTORE, self._restored)
        await self.write_new(conn)


def _source(entry: ListedEntry) -> SourceState:
    return SourceState.AVAILABLE if entry.signable else SourceState.UNSIGNABLE
