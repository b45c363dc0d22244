"""What probing reads and writes."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import ImportCounts, InfoState, SourceState, image_id
from catalog.domain.ports import ImageToProbe, ProbeResult
from catalog.storage.images import key_range, lock_bucket
from catalog.storage.tables import buckets, images, operation_keys
from catalog.storage.tally import Tally

# Rows that one page of pending images reads: an import of what was probed before finds none, and
# must not read a million rows for that in one transaction.
_SCANNED = 5000
_COLUMNS = (
    images.c.key,
    images.c.etag,
    images.c.size,
    images.c.version_epoch,
    images.c.info_state,
    images.c.source_state,
    images.c.excluded,
)
_WRITE = (
    sa.update(images)
    .where(images.c.bucket_no == sa.bindparam("no"), images.c.key == sa.bindparam("of_key"))
    .values(
        {
            name: sa.bindparam(f"to_{name}")
            for name in (
                "source_state",
                "check_time",
                "size",
                "etag",
                "version",
                "version_epoch",
                "last_modified",
                "info_state",
                "info_reason",
                "media_type",
                "width",
                "height",
                "orientation",
                "update_time",
            )
        }
    )
)


async def key_page(
    conn: AsyncConnection, project: str, operation_id: str, after_key: str, limit: int
) -> list[str]:
    """See :func:`catalog.storage.jobs.key_page`."""
    table = operation_keys.c
    statement = (
        sa.select(table["keys"])
        .where(
            table.project == project,
            table.operation_id == operation_id,
            table.last_key > after_key,
        )
        .order_by(table.last_key)
        .limit(1)
    )
    text = (await conn.execute(statement)).scalar_one_or_none()
    if text is None:
        return []
    keys: list[str] = json.loads(text)
    return [key for key in keys if key > after_key][:limit]


async def pending(
    conn: AsyncConnection, bucket_uid: str, prefix: str, after_key: str, limit: int
) -> tuple[list[ImageToProbe], str | None]:
    """PENDING images under a prefix, and the key to go on after (None at the end)."""
    number = sa.select(buckets.c.no).where(buckets.c.uid == bucket_uid).scalar_subquery()
    statement = (
        sa.select(*_COLUMNS)
        .where(images.c.bucket_no == number, *key_range(prefix, after_key))
        .order_by(images.c.key)
        .limit(_SCANNED)
    )
    rows = (await conn.execute(statement)).all()
    found: list[ImageToProbe] = []
    for row in rows:
        if row.info_state == InfoState.PENDING and not row.excluded:
            found.append(_to_probe(bucket_uid, row))
            if len(found) == limit:
                return found, row.key
    return found, rows[-1].key if len(rows) == _SCANNED else None


async def among(conn: AsyncConnection, bucket_uid: str, keys: Sequence[str]) -> list[ImageToProbe]:
    """The images of these keys that can be looked into, in the order of their keys."""
    number = sa.select(buckets.c.no).where(buckets.c.uid == bucket_uid).scalar_subquery()
    statement = sa.select(*_COLUMNS).where(
        images.c.bucket_no == number,
        images.c.key.in_(keys),
        images.c.excluded.is_(False),
        images.c.source_state != SourceState.UNSIGNABLE,
    )
    rows = await conn.execute(statement.order_by(images.c.key))
    return [_to_probe(bucket_uid, row) for row in rows]


def _to_probe(bucket_uid: str, row: Any) -> ImageToProbe:
    return ImageToProbe(
        row.key, image_id(bucket_uid, row.key), row.etag, row.size, row.version_epoch
    )


async def write_results(
    conn: AsyncConnection, bucket_uid: str, results: Sequence[ProbeResult], now: datetime
) -> ImportCounts:
    """See :func:`catalog.storage.jobs.write_probe_results`."""
    bucket = await lock_bucket(conn, bucket_uid)
    if bucket is None or not results:
        return ImportCounts()
    statement = sa.select(images).where(
        images.c.bucket_no == bucket.no, images.c.key.in_([result.key for result in results])
    )
    rows = {row.key: row for row in await conn.execute(statement)}
    tally = Tally()
    written: list[dict[str, Any]] = []
    probed = failed = 0
    for result in results:
        row = rows.pop(result.key, None)
        # Listed anew in between: what was read belongs to bytes that are gone.
        if row is None or row.etag != result.seen_etag:
            continue
        probed += result.info_state in (InfoState.PROBED, InfoState.NOT_AN_IMAGE)
        failed += result.info_state == InfoState.FAILED
        tally.add(row.excluded, row.source_state, row.info_state, -1)
        tally.add(row.excluded, result.source_state, result.info_state)
        written.append({"no": bucket.no, "of_key": result.key, **_values(row, result, now)})
    if written:
        await conn.execute(_WRITE, written)
    await tally.write(conn, bucket.no)
    return ImportCounts(probed=probed, failed=failed)


def _values(row: Any, result: ProbeResult, now: datetime) -> dict[str, Any]:
    """A failed look says nothing about the object's own facts: they stay as they were listed."""
    seen = result.source_state is SourceState.AVAILABLE and result.version_epoch > 0
    return {
        "to_source_state": result.source_state,
        "to_check_time": now,
        "to_size": result.size if seen and result.size is not None else row.size,
        "to_etag": (result.etag if seen else "") or row.etag,
        "to_version": result.version if seen else row.version,
        "to_version_epoch": result.version_epoch if seen else row.version_epoch,
        "to_last_modified": (result.last_modified if seen else None) or row.last_modified,
        "to_info_state": result.info_state,
        "to_info_reason": result.reason,
        "to_media_type": result.media_type,
        "to_width": result.width,
        "to_height": result.height,
        "to_orientation": result.orientation,
        "to_update_time": now,
    }
