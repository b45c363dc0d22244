"""The rows that jobs read and write: each function is part of one step's transaction.

Give them the connection of the step (``await session.connection()``), never one of their own, so
that the rows and the step's checkpoint are committed together. An operation is named by project and
id, a bucket by its uid. ``now`` is the step's own clock, aware, in UTC.

An import, in outline::

    job = load_import(...)                      # None: the operation was deleted; nothing to do
    set_phase(LISTING)
    per page:  counts = write_listing_page(...) or write_named_keys(...)   # counts.gone: stop
               add_progress(counts.progress(), counts.to_probe)
               should_stop(...)                 # cancelled, unmounted or ended: stop
    set_phase(PROBING)
    per chunk: images_to_probe(...), then write_probe_results(...), add_failures(...) and
               add_progress(...)
    finish(SUCCEEDED)

All of them are idempotent but ``add_progress`` and ``add_failures``, which the step's checkpoint
keeps from running twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import (
    Health,
    ImportCounts,
    ItemFailure,
    OperationFault,
    OperationState,
    Phase,
    ProbePolicy,
)
from catalog.domain.ports import ImageToProbe, ListedEntry, PageCounts, ProbeResult, SourceKind
from catalog.storage import pages, probes
from catalog.storage.buckets import BucketTable
from catalog.storage.operations import end, named
from catalog.storage.purge import Tombstone, drop_bucket, purge_bucket_chunk, tombstone
from catalog.storage.records import PROGRESS
from catalog.storage.retention import drop_ended_chunk
from catalog.storage.tables import buckets, operation_failures, operations

__all__ = [
    "ImportJob",
    "ProbePage",
    "Tombstone",
    "add_failures",
    "add_progress",
    "drop_bucket",
    "drop_ended_chunk",
    "finish",
    "images_to_probe",
    "key_page",
    "load_import",
    "purge_bucket_chunk",
    "set_health",
    "set_phase",
    "should_stop",
    "tombstone",
    "write_listing_page",
    "write_named_keys",
    "write_probe_results",
]

MAX_IMAGES = 20_000_000


@dataclass(frozen=True, slots=True)
class ImportJob:
    """An import and the bucket that it is for. ``probe`` is False under ProbePolicy.NONE."""

    project: str
    operation_id: str
    bucket_uid: str
    bucket_name: str
    binding: str
    probe: bool
    source: SourceKind
    prefix: str
    on_behalf_of: str
    phase: Phase
    stop: bool


@dataclass(frozen=True, slots=True)
class ProbePage:
    """Images to look into, and the key to go on after; ``next_after`` is None at the end.

    ``images`` may be empty while ``next_after`` isn't None: a page reads a bounded number of rows.
    """

    images: tuple[ImageToProbe, ...]
    next_after: str | None


async def load_import(conn: AsyncConnection, project: str, operation_id: str) -> ImportJob | None:
    """The import's parameters; None when the operation doesn't exist any more.

    ``stop`` is True when it has ended, was cancelled, or its bucket is unmounted; an unmounted
    bucket's ``binding`` is still given.
    """
    statement = (
        sa.select(operations, buckets.c.binding, buckets.c.probe_policy, buckets.c.delete_time)
        .outerjoin(buckets, buckets.c.uid == operations.c.bucket_uid)
        .where(named(project, operation_id))
    )
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        return None
    return ImportJob(
        project=project,
        operation_id=operation_id,
        bucket_uid=row.bucket_uid,
        bucket_name=row.bucket_name,
        binding=row.binding or "",
        probe=row.probe_policy == ProbePolicy.HEADERS,
        source=SourceKind(row.source),
        prefix=row.prefix,
        on_behalf_of=row.on_behalf_of,
        phase=Phase(row.phase),
        stop=_stops(row),
    )


async def should_stop(conn: AsyncConnection, project: str, operation_id: str) -> bool:
    """True when the operation is cancelled, ended or deleted, or its bucket unmounted."""
    statement = (
        sa.select(
            operations.c.state,
            operations.c.cancel_requested,
            buckets.c.binding,
            buckets.c.delete_time,
        )
        .outerjoin(buckets, buckets.c.uid == operations.c.bucket_uid)
        .where(named(project, operation_id))
    )
    row = (await conn.execute(statement)).one_or_none()
    return row is None or _stops(row)


def _stops(row: Any) -> bool:
    unmounted = row.binding is None or row.delete_time is not None
    return row.state != OperationState.RUNNING or row.cancel_requested or unmounted


async def set_phase(
    conn: AsyncConnection, project: str, operation_id: str, phase: Phase, now: datetime
) -> None:
    """Says what the operation is doing. Changes nothing once it has ended."""
    await conn.execute(
        sa.update(operations)
        .where(named(project, operation_id), operations.c.state == OperationState.RUNNING)
        .values(phase=phase, update_time=now)
    )


async def write_listing_page(
    conn: AsyncConnection,
    bucket_uid: str,
    entries: Sequence[ListedEntry],
    version_epoch: int,
    now: datetime,
    max_images: int = MAX_IMAGES,
) -> PageCounts:
    """Writes up to 1,000 entries (any order; doubles count once as existing).

    New ones are created as AVAILABLE, or UNSIGNABLE. Existing ones take over etag, size and time;
    other bytes than before make them PENDING again, without a version. Excluded ones stay so.
    Once the bucket has ``max_images``, excluded ones included, new ones are left out and ``full``
    says so. ValueError for a key that can't be kept (:func:`catalog.app.keys.is_storable`).
    """
    return await pages.write_listed(conn, bucket_uid, entries, version_epoch, now, max_images)


async def write_named_keys(
    conn: AsyncConnection,
    bucket_uid: str,
    keys: Sequence[str],
    now: datetime,
    max_images: int = MAX_IMAGES,
) -> PageCounts:
    """Writes up to 1,000 keys of an explicit import, bringing excluded ones back.

    What is new is UNKNOWN until it is probed. ``max_images`` is as in write_listing_page.
    """
    return await pages.write_named(conn, bucket_uid, keys, now, max_images)


async def key_page(
    conn: AsyncConnection, project: str, operation_id: str, after_key: str, limit: int
) -> list[str]:
    """The next explicit keys after ``after_key`` ("" to begin), at most ``limit``; [] at the end.

    A page may be shorter than ``limit`` before the end.
    """
    return await probes.key_page(conn, project, operation_id, after_key, limit)


async def images_to_probe(
    conn: AsyncConnection, job: ImportJob, after_key: str, limit: int
) -> ProbePage:
    """Images of this import that wait to be looked into, by key, beginning after ``after_key``.

    A listing import: PENDING ones under its prefix. An explicit one: all that it names, looked into
    or not, since only a look can tell whether they changed.
    """
    if job.source is SourceKind.LISTING:
        found, after = await probes.pending(conn, job.bucket_uid, job.prefix, after_key, limit)
        return ProbePage(tuple(found), after)
    keys = await key_page(conn, job.project, job.operation_id, after_key, limit)
    if not keys:
        return ProbePage((), None)
    return ProbePage(tuple(await probes.among(conn, job.bucket_uid, keys)), keys[-1])


async def write_probe_results(
    conn: AsyncConnection, bucket_uid: str, results: Sequence[ProbeResult], now: datetime
) -> ImportCounts:
    """Writes what probing found; gives the progress of it (``probed`` and ``failed``)."""
    return await probes.write_results(conn, bucket_uid, results, now)


async def add_progress(
    conn: AsyncConnection,
    project: str,
    operation_id: str,
    delta: ImportCounts,
    now: datetime,
    to_probe: int = 0,
) -> None:
    """Adds to the operation's counts and, with ``to_probe``, to its ``probe_total``."""
    sums: dict[str, Any] = {
        name: operations.c[name] + more for name in PROGRESS if (more := getattr(delta, name))
    }
    if to_probe:
        sums["probe_total"] = operations.c.probe_total + to_probe
    await conn.execute(
        sa.update(operations)
        .where(named(project, operation_id), operations.c.state == OperationState.RUNNING)
        .values(update_time=now, **sums)
    )


async def add_failures(
    conn: AsyncConnection, project: str, operation_id: str, failures: Sequence[ItemFailure]
) -> None:
    """Records failures in the order given. They don't count by themselves: see add_progress."""
    rows = [
        {
            "project": project,
            "operation_id": operation_id,
            "key": failure.key,
            "image_id": failure.image_id,
            "reason": failure.reason,
            "message": failure.message,
            "http_status": failure.http_status,
            "provider_code": failure.provider_code,
            "time": failure.time,
        }
        for failure in failures
    ]
    if rows:
        await conn.execute(sa.insert(operation_failures), rows)


async def finish(
    conn: AsyncConnection,
    project: str,
    operation_id: str,
    state: OperationState,
    fault: OperationFault | None,
    now: datetime,
) -> bool:
    """Ends the operation; False (and nothing changed) when it has ended already or is deleted."""
    return await end(conn, named(project, operation_id), state, fault, now)


async def set_health(conn: AsyncConnection, bucket_uid: str, health: Health) -> None:
    """Says how the store answered last. An unmounted bucket is left alone."""
    await BucketTable().set_health(conn, bucket_uid, health)
