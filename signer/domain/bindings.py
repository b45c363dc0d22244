"""Bindings and their revisions: which credential signs for which place, and since when."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from serving.faults import FieldViolation
from signer.domain.credentials import Permission
from signer.domain.location import Location, is_bucket_name, is_origin, is_prefix, is_region

MANAGED_ID = "managed"
MAX_HOLDERS = 1000
MIN_URL_LIFETIME = timedelta(minutes=1)
MAX_URL_LIFETIME = timedelta(days=7)
DEFAULT_URL_LIFETIME = timedelta(hours=1)
MAX_STABLE_WINDOW = timedelta(days=1)
DEFAULT_STABLE_WINDOW = timedelta(minutes=15)


class BindingClass(StrEnum):
    """CUSTOMER bindings are never written; MANAGED ones are the platform's own storage."""

    CUSTOMER = "CUSTOMER"
    MANAGED = "MANAGED"

    def allowed(self) -> frozenset[Permission]:
        if self is BindingClass.CUSTOMER:
            return frozenset({Permission.READ, Permission.LIST})
        return frozenset(Permission)


class RevisionState(StrEnum):
    """STAGED and ABORTED revisions exist in the schema; no RPC makes one yet."""

    STAGED = "STAGED"
    ACTIVE = "ACTIVE"
    SUPERSEDED = "SUPERSEDED"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a binding was joined to at one time. ``credential`` is the credential's full name."""

    binding_uid: str
    number: int
    credential: str
    credential_uid: str
    location: Location
    location_epoch: int
    state: RevisionState
    create_time: datetime
    supersede_time: datetime | None = None
    drain_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """``active`` is the number of the revision that is signed with."""

    project: str
    binding_id: str
    uid: str
    binding_class: BindingClass
    permissions: frozenset[Permission]
    max_url_lifetime: timedelta
    stable_window: timedelta
    active: int
    holders: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None = None

    @property
    def name(self) -> str:
        return f"projects/{self.project}/bindings/{self.binding_id}"

    @property
    def etag(self) -> str:
        """Changes with each rotation and rollback; holders coming and going don't count."""
        digest = hashlib.sha256(f"{self.uid}/{self.active}".encode())
        return digest.hexdigest()[:16]

    def revision_name(self, number: int) -> str:
        return f"{self.name}/revisions/{number}"


@dataclass(frozen=True, slots=True)
class BoundRevision:
    """A binding beside one of its revisions: what GetBinding shows."""

    binding: Binding
    revision: Revision


def lifetimes(
    max_url_lifetime: timedelta | None, stable_window: timedelta | None
) -> tuple[timedelta, timedelta]:
    """The two with their defaults filled in."""
    lifetime = DEFAULT_URL_LIFETIME if max_url_lifetime is None else max_url_lifetime
    window = min(DEFAULT_STABLE_WINDOW, lifetime / 2) if stable_window is None else stable_window
    return lifetime, timedelta(seconds=int(window.total_seconds()))


def lifetime_violations(lifetime: timedelta, window: timedelta) -> list[FieldViolation]:
    """What is wrong with the two, by their path in CreateBindingRequest."""
    found = []
    if not MIN_URL_LIFETIME <= lifetime <= MAX_URL_LIFETIME or lifetime.microseconds:
        text = "Give 60 to 604,800 whole seconds."
        found.append(FieldViolation("binding.max_url_lifetime", text))
    if not timedelta() <= window <= min(MAX_STABLE_WINDOW, lifetime / 2) or window.microseconds:
        text = "Give 0 to 86,400 whole seconds, and at most half of max_url_lifetime."
        found.append(FieldViolation("binding.stable_window", text))
    return found


def location_violations(
    location: Location, path: str, insecure_origins: frozenset[str]
) -> list[FieldViolation]:
    """What is wrong with a location; ``path`` is where it stands in the request."""
    found = []
    if not is_bucket_name(location.bucket):
        text = "Give a bucket name of 3 to 63 characters; ARNs aren't taken."
        found.append(FieldViolation(f"{path}.s3.bucket", text))
    if not is_region(location.region):
        text = "Give a region such as eu-central-1 (us-east-1 for stores without regions)."
        found.append(FieldViolation(f"{path}.s3.region", text))
    for name in ("endpoint", "public_endpoint"):
        origin = getattr(location, name)
        if origin and not is_origin(origin, insecure_origins):
            text = "Give an origin such as https://minio.example.com: https, a DNS name, no path."
            found.append(FieldViolation(f"{path}.s3.{name}", text))
    if not is_prefix(location.prefix):
        text = "Give nothing or a signable key that ends in '/'."
        found.append(FieldViolation(f"{path}.prefix", text))
    return found
