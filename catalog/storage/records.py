"""From rows to the domain's own words, and back."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Row

from catalog.domain.model import (
    Bucket,
    Counts,
    Health,
    HealthState,
    Image,
    ImportCounts,
    Info,
    InfoState,
    ItemFailure,
    Mode,
    Operation,
    OperationFault,
    OperationState,
    Phase,
    ProbePolicy,
    Source,
    SourceState,
    image_id,
)

COUNTS = tuple(Counts.__dataclass_fields__)
PROGRESS = tuple(ImportCounts.__dataclass_fields__)


def bucket_of(row: Row[Any]) -> Bucket:
    return Bucket(
        project=row.project,
        bucket_id=row.bucket_id,
        uid=row.uid,
        binding=row.binding,
        mode=Mode(row.mode),
        probe_policy=ProbePolicy(row.probe_policy),
        display_name=row.display_name,
        etag=row.etag,
        create_time=row.create_time,
        update_time=row.update_time,
        health=Health(HealthState(row.health_state), row.health_reason, row.health_time),
        # By name: the row has a method `count`, and may get a method of another count's name.
        counts=Counts(**{name: row._mapping[name] for name in COUNTS}),
    )


def image_of(bucket_uid: str, row: Row[Any]) -> Image:
    return Image(
        image_id=image_id(bucket_uid, row.key),
        key=row.key,
        source=Source(
            SourceState(row.source_state),
            row.size,
            row.etag,
            row.version,
            row.version_epoch,
            row.last_modified,
            row.check_time,
        ),
        info=Info(
            InfoState(row.info_state),
            row.info_reason,
            row.media_type,
            row.width,
            row.height,
            row.orientation,
        ),
        excluded=row.excluded,
        create_time=row.create_time,
        update_time=row.update_time,
    )


def operation_of(row: Row[Any]) -> Operation:
    return Operation(
        project=row.project,
        operation_id=row.operation_id,
        bucket_uid=row.bucket_uid,
        bucket_name=row.bucket_name,
        state=OperationState(row.state),
        phase=Phase(row.phase),
        progress=ImportCounts(**{name: row._mapping[name] for name in PROGRESS}),
        probe_total=row.probe_total,
        cancel_requested=row.cancel_requested,
        create_time=row.create_time,
        update_time=row.update_time,
        end_time=row.end_time,
        fault=None if row.fault is None else OperationFault(**json.loads(row.fault)),
    )


def fault_text(fault: OperationFault | None) -> str | None:
    if fault is None:
        return None
    return json.dumps(
        {
            "reason": fault.reason,
            "message": fault.message,
            "domain": fault.domain,
            "metadata": dict(fault.metadata),
        }
    )


def failure_of(row: Row[Any]) -> ItemFailure:
    return ItemFailure(
        key=row.key,
        image_id=row.image_id,
        reason=row.reason,
        message=row.message,
        http_status=row.http_status,
        provider_code=row.provider_code,
        time=row.time,
    )


def id_hasher(bucket_uid: str) -> Callable[[str], int]:
    """``hash(key)``: the first 64 bits of the image's id, signed, as SQL integers are."""
    start = hashlib.sha256(bucket_uid.encode() + b"\0")

    def hash_of(key: str) -> int:
        digest = start.copy()
        digest.update(key.encode())
        return int.from_bytes(digest.digest()[:8], "big", signed=True)

    return hash_of


def hash_of_id(image: str) -> int | None:
    """The same 64 bits, read from an image's id; None for what can't be an id."""
    try:
        raw = base64.b32decode(image.upper() + "A" * 6)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 20 or image != image.lower():
        return None
    return int.from_bytes(raw[:8], "big", signed=True)


def prefix_end(prefix: str) -> str | None:
    """The first text that sorts after all that begin with ``prefix``; None when there is none.

    UTF-8 sorts as code points do, so the last character that has a successor gets it.
    """
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at])
        if code < 0x10FFFF:
            # U+D800 to U+DFFF are surrogates, which text doesn't have.
            return prefix[:at] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None
