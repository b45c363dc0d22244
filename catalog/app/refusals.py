"""The refusals that several use cases share, worded once."""

from catalog.domain.reasons import Reason
from serving import names
from serving.faults import Fault, FieldViolation

MAX_BATCH = 1000


def invalid_field(field: str, description: str) -> Fault:
    """``description`` is static text: it says what to give, never what was given."""
    return Fault(
        Reason.INVALID_FIELD,
        "A field has a wrong value.",
        violations=[FieldViolation(field, description)],
    )


def not_found(name: str) -> Fault:
    return names.not_found(Reason.RESOURCE_NOT_FOUND, name)


def etag_mismatch() -> Fault:
    return Fault(
        Reason.ETAG_MISMATCH,
        "The resource was changed since its etag was read. Read it again and decide anew.",
    )


def batch_too_large() -> Fault:
    return Fault(
        Reason.BATCH_TOO_LARGE,
        "The batch has more items than one call takes.",
        {"limit": str(MAX_BATCH)},
    )
