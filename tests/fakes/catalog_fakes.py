"""What tests of the Catalog stand on: sample resources, and fakes of its ports."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

from catalog.domain.model import (
    Bucket,
    ImportCounts,
    InfoState,
    Mode,
    Operation,
    OperationState,
    Phase,
    ProbePolicy,
    SourceState,
)
from catalog.domain.ports import ListedEntry, ProbeResult

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def bucket(**changes: Any) -> Bucket:
    """``projects/acme/buckets/photos``, freshly mounted."""
    made = Bucket(
        project="acme",
        bucket_id="photos",
        uid="a" * 32,
        binding="projects/acme/bindings/cam",
        mode=Mode.LINK,
        probe_policy=ProbePolicy.HEADERS,
        display_name="",
        etag="e1",
        create_time=NOW,
        update_time=NOW,
    )
    return dataclasses.replace(made, **changes)


def operation(of: Bucket, **changes: Any) -> Operation:
    """An import of the bucket that waits for a worker."""
    made = Operation(
        project=of.project,
        operation_id="import-1",
        bucket_uid=of.uid,
        bucket_name=of.name,
        state=OperationState.RUNNING,
        phase=Phase.QUEUED,
        progress=ImportCounts(),
        probe_total=0,
        cancel_requested=False,
        create_time=NOW,
        update_time=NOW,
    )
    return dataclasses.replace(made, **changes)


def entry(key: str, etag: str = "e", size: int = 1, signable: bool = True) -> ListedEntry:
    """An object as a store lists it."""
    return ListedEntry(key, size, etag, NOW, signable)


def result(key: str, **changes: Any) -> ProbeResult:
    """A probe that found a PNG of 3 by 2 pixels."""
    made = ProbeResult(
        key,
        SourceState.AVAILABLE,
        InfoState.PROBED,
        media_type="image/png",
        width=3,
        height=2,
        orientation=1,
        version="v1",
        version_epoch=1,
        etag="e",
        size=1,
        seen_etag="e",
    )
    return dataclasses.replace(made, **changes)
