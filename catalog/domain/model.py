"""Buckets, images and operations as the Catalog keeps them. Times are aware, in UTC."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """How a bucket's images are kept."""

    LINK = "LINK"


class ProbePolicy(StrEnum):
    """Whether images are looked into after they were listed."""

    HEADERS = "HEADERS"
    NONE = "NONE"


class HealthState(StrEnum):
    """How the store answered last; UNSPECIFIED when it was never spoken with."""

    UNSPECIFIED = "UNSPECIFIED"
    HEALTHY = "HEALTHY"
    UNREACHABLE = "UNREACHABLE"
    FORBIDDEN = "FORBIDDEN"
    BROKEN = "BROKEN"


class SourceState(StrEnum):
    """What became of the object in the customer's bucket."""

    AVAILABLE = "AVAILABLE"
    MISSING = "MISSING"
    CHANGED = "CHANGED"
    FORBIDDEN = "FORBIDDEN"
    UNKNOWN = "UNKNOWN"
    UNSIGNABLE = "UNSIGNABLE"


class InfoState(StrEnum):
    """Whether an image was looked into."""

    PENDING = "PENDING"
    PROBED = "PROBED"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class Phase(StrEnum):
    """What an import is doing."""

    QUEUED = "QUEUED"
    LISTING = "LISTING"
    PROBING = "PROBING"
    DONE = "DONE"


class OperationState(StrEnum):
    """RUNNING covers waiting for a worker, too."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Health:
    state: HealthState = HealthState.UNSPECIFIED
    reason: str = ""
    check_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Kept up to date in the same transactions that write images; never counted row by row."""

    images: int = 0
    excluded: int = 0
    available: int = 0
    unavailable: int = 0
    unsignable: int = 0
    probed: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    project: str
    bucket_id: str
    uid: str
    binding: str
    mode: Mode
    probe_policy: ProbePolicy
    display_name: str
    etag: str
    create_time: datetime
    update_time: datetime
    health: Health = field(default_factory=Health)
    counts: Counts = field(default_factory=Counts)

    @property
    def name(self) -> str:
        return f"projects/{self.project}/buckets/{self.bucket_id}"


@dataclass(frozen=True, slots=True)
class Source:
    """The object as last seen. ``size`` is in bytes, ``etag`` without quotes."""

    state: SourceState
    size: int = 0
    etag: str = ""
    version: str = ""
    version_epoch: int = 0
    last_modified_time: datetime | None = None
    check_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """What is in the image. Width and height in pixels as stored; orientation 0 when unknown."""

    state: InfoState
    reason: str = ""
    media_type: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    image_id: str
    key: str
    source: Source
    info: Info
    excluded: bool
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did so far; the fields of ImportImagesResponse."""

    listed: int = 0
    created: int = 0
    existing: int = 0
    excluded: int = 0
    unsignable: int = 0
    probed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class OperationFault:
    """Why an operation ended without a result. ``domain`` is "" for the Catalog's own reasons."""

    reason: str
    message: str
    domain: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    project: str
    operation_id: str
    bucket_uid: str
    bucket_name: str
    state: OperationState
    phase: Phase
    progress: ImportCounts
    probe_total: int
    cancel_requested: bool
    create_time: datetime
    update_time: datetime
    end_time: datetime | None = None
    fault: OperationFault | None = None

    @property
    def name(self) -> str:
        return f"projects/{self.project}/operations/{self.operation_id}"

    @property
    def done(self) -> bool:
        return self.state is not OperationState.RUNNING


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """One thing that failed within an operation. Never a URL and never a store's words."""

    key: str
    image_id: str
    reason: str
    message: str
    http_status: int
    provider_code: str
    time: datetime


def image_id(bucket_uid: str, key: str) -> str:
    """The image's id: 26 lower-case base32 characters, 130 bits of SHA-256 over uid and key.

    A function of the two alone, so that importing again never doubles an image and moving the
    mount to another store never renames it.
    """
    digest = hashlib.sha256(bucket_uid.encode() + b"\0" + key.encode()).digest()
    return base64.b32encode(digest[:20]).decode()[:26].lower()
