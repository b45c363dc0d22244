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

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import (
    Health,
    ImportCounts,
    ItemFailure,
    OperationFault,
    OperationState,
    Phase,
)
from catalog.domain.ports import ImageToProbe, ListedEntry, PageCounts, ProbeResult, SourceKind


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


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An unmounted bucket. ``release`` is False when a new bucket of the name has its binding."""

    bucket_uid: str
    bucket_name: str
    binding: str
    release: bool


async def load_import(conn: AsyncConnection, project: str, operation_id: str) -> ImportJob | None:
    """The import's parameters; None when the operation doesn't exist any more.

    ``stop`` is True when it has ended, was cancelled, or its bucket is unmounted; an unmounted
    bucket's ``binding`` is still given.
    """
    raise NotImplementedError


async def should_stop(conn: AsyncConnection, project: str, operation_id: str) -> bool:
    """True when the operation is cancelled, ended or deleted, or its bucket unmounted."""
    raise NotImplementedError


async def set_phase(
    conn: AsyncConnection, project: str, operation_id: str, phase: Phase, now: datetime
) -> None:
    """Says what the operation is doing. Changes nothing once it has ended."""
    raise NotImplementedError


async def write_listing_page(
    conn: AsyncConnection,
    bucket_uid: str,
    entries: Sequence[ListedEntry],
    version_epoch: int,
    now: datetime,
) -> PageCounts:
    """Writes up to 1,000 entries (any order; doubles count once as existing).

    New ones are created as AVAILABLE, or UNSIGNABLE. Existing ones take over etag, size and time;
    other bytes than before make them PENDING again, without a version. Excluded ones stay so.
    ValueError for a key that can't be kept (:func:`catalog.app.keys.is_storable`).
    """
    raise NotImplementedError


async def write_named_keys(
    conn: AsyncConnection, bucket_uid: str, keys: Sequence[str], now: datetime
) -> PageCounts:
    """Writes up to 1,000 keys of an explicit import, bringing excluded ones back.

    What is new is UNKNOWN until it is probed.
    """
    raise NotImplementedError


async def key_page(
    conn: AsyncConnection, project: str, operation_id: str, after_key: str, limit: int
) -> list[str]:
    """The next explicit keys after ``after_key`` ("" to begin), at most ``limit``; [] at the end.

    A page may be shorter than ``limit`` before the end.
    """
    raise NotImplementedError


async def images_to_probe(
    conn: AsyncConnection, job: ImportJob, after_key: str, limit: int
) -> ProbePage:
    """Images of this import that wait to be looked into, by key, beginning after ``after_key``.

    A listing import: PENDING ones under its prefix. An explicit one: all that it names, looked into
    or not, since only a look can tell whether they changed.
    """
    raise NotImplementedError


async def write_probe_results(
    conn: AsyncConnection, bucket_uid: str, results: Sequence[ProbeResult], now: datetime
) -> ImportCounts:
    """Writes what probing found; gives the progress of it (``probed`` and ``failed``)."""
    raise NotImplementedError


async def add_progress(
    conn: AsyncConnection,
    project: str,
    operation_id: str,
    delta: ImportCounts,
    now: datetime,
    to_probe: int = 0,
) -> None:
    """Adds to the operation's counts and, with ``to_probe``, to its ``probe_total``."""
    raise NotImplementedError


async def add_failures(
    conn: AsyncConnection, project: str, operation_id: str, failures: Sequence[ItemFailure]
) -> None:
    """Records failures in the order given. They don't count by themselves: see add_progress."""
    raise NotImplementedError


async def finish(
    conn: AsyncConnection,
    project: str,
    operation_id: str,
    state: OperationState,
    fault: OperationFault | None,
    now: datetime,
) -> bool:
    """Ends the operation; False (and nothing changed) when it has ended already or is deleted."""
    raise NotImplementedError


async def set_health(conn: AsyncConnection, bucket_uid: str, health: Health) -> None:
    """Says how the store answered last. An unmounted bucket is left alone."""
    raise NotImplementedError


async def tombstone(conn: AsyncConnection, bucket_uid: str) -> Tombstone | None:
    """An unmounted bucket that isn't purged yet; None when it is mounted or gone."""
    raise NotImplementedError


async def purge_bucket_chunk(conn: AsyncConnection, bucket_uid: str, limit: int) -> int:
    """Deletes up to ``limit`` images of an unmounted bucket; how many there were to delete.

    0 when nothing is left: then :func:`drop_bucket`. A mounted bucket is left alone.
    """
    raise NotImplementedError


async def drop_bucket(conn: AsyncConnection, bucket_uid: str) -> None:
    """Deletes an unmounted bucket's own row, once it has no images and its binding is released."""
    raise NotImplementedError
