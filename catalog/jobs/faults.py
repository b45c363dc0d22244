"""What a store's or the Signer's failure means for a job, in the Catalog's own reasons.

One total table from StoreErrorKind; a test holds it total.
"""

from collections.abc import Mapping
from typing import NamedTuple

from catalog.domain.model import HealthState, OperationFault
from catalog.domain.reasons import Reason
from catalog.remote.errors import StoreError, StoreErrorKind
from serving.faults import Fault, ForeignFault


class Meaning(NamedTuple):
    """The reason, what it says of the store's health, and a sentence for a person."""

    reason: Reason
    health: HealthState
    message: str


_REFUSED = Meaning(
    Reason.STORE_ADDRESS_REFUSED,
    HealthState.UNREACHABLE,
    "The store's address is one that this deployment doesn't allow connections to.",
)
_UNREACHABLE = Meaning(
    Reason.STORE_UNREACHABLE, HealthState.UNREACHABLE, "The store doesn't answer, or it fails."
)
_THROTTLED = Meaning(
    Reason.STORE_THROTTLED, HealthState.UNREACHABLE, "The store asks for fewer requests."
)
_FORBIDDEN = Meaning(
    Reason.STORE_FORBIDDEN,
    HealthState.FORBIDDEN,
    "The store refuses the credential, the signature or the permission.",
)
_MISSING = Meaning(
    Reason.OBJECT_MISSING,
    HealthState.BROKEN,
    "The store says that the object, or the bucket, isn't there.",
)
_BROKEN = Meaning(
    Reason.STORE_BROKEN, HealthState.BROKEN, "The store answers what no store should."
)

MEANINGS: Mapping[StoreErrorKind, Meaning] = {
    StoreErrorKind.REFUSED_ADDRESS: _REFUSED,
    StoreErrorKind.REFUSED_URL: _REFUSED,
    StoreErrorKind.UNREACHABLE: _UNREACHABLE,
    StoreErrorKind.TLS: _UNREACHABLE,
    StoreErrorKind.TIMEOUT: _UNREACHABLE,
    StoreErrorKind.SERVER: _UNREACHABLE,
    StoreErrorKind.THROTTLED: _THROTTLED,
    StoreErrorKind.FORBIDDEN: _FORBIDDEN,
    StoreErrorKind.CLOCK_SKEW: _FORBIDDEN,
    StoreErrorKind.NOT_FOUND: _MISSING,
    StoreErrorKind.TOO_LARGE: _BROKEN,
    StoreErrorKind.REDIRECTED: _BROKEN,
    StoreErrorKind.BAD_RESPONSE: _BROKEN,
    StoreErrorKind.PRECONDITION_FAILED: _BROKEN,
    StoreErrorKind.OTHER: _BROKEN,
}


class JobStopped(Exception):
    """The job ends here: with a fault, or with None when somebody cancelled it."""

    def __init__(self, fault: OperationFault | None, health: HealthState | None = None) -> None:
        super().__init__("the job stopped")
        self.fault = fault
        self.health = health


def evidence(error: StoreError) -> dict[str, str]:
    """Status and provider's code, as ``ErrorInfo.metadata`` has them."""
    found: dict[str, str] = {}
    if error.status is not None:
        found["http_status"] = str(error.status)
    if error.provider_code is not None:
        found["provider_code"] = error.provider_code
    return found


def from_store(error: StoreError) -> JobStopped:
    meaning = MEANINGS[error.kind]
    fault = OperationFault(meaning.reason, meaning.message, metadata=evidence(error))
    return JobStopped(fault, meaning.health)


def from_signer(fault: Fault) -> JobStopped:
    """The Signer's refusal under its own domain; it says nothing of the store's health."""
    domain = fault.domain if isinstance(fault, ForeignFault) else ""
    return JobStopped(OperationFault(fault.reason, fault.message, domain, fault.metadata))


def cancelled() -> OperationFault:
    return OperationFault(
        Reason.OPERATION_CANCELLED, "The operation was cancelled. What it had done by then stays."
    )


def bucket_deleted() -> OperationFault:
    return OperationFault(
        Reason.BUCKET_DELETED, "The bucket was unmounted while the operation ran."
    )


def images_limit(limit: int) -> OperationFault:
    return OperationFault(
        Reason.IMAGES_LIMIT_REACHED,
        "The bucket has as many images as it may have. Those brought in by then stay.",
        metadata={"limit": str(limit)},
    )


def internal() -> OperationFault:
    return OperationFault(
        Reason.INTERNAL, "The job failed within the server, more often than it is tried again."
    )
