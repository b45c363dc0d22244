"""Every reason the Catalog can refuse for, as it stands in ``ErrorInfo.reason``.

The contract documents each one with a worked example
(``protos/sealmount/catalog/v1/error_reasons.proto``); a test holds the two lists equal. Reasons of
the Signer pass through under its own domain and aren't listed here.
"""

from enum import auto

from serving.faults import Reasons


class Reason(Reasons):
    """Value and name are the same: see ``Reasons``."""

    INVALID_FIELD = auto()
    MALFORMED_REQUEST = auto()
    PAGE_TOKEN_INVALID = auto()
    REQUEST_ID_REUSED = auto()
    REQUEST_TOO_LARGE = auto()
    IDENTITY_MISSING = auto()
    ROLE_MISSING = auto()
    RESOURCE_NOT_FOUND = auto()
    ETAG_MISMATCH = auto()
    BATCH_TOO_LARGE = auto()
    DEADLINE_EXCEEDED = auto()
    INTERNAL = auto()
    STORAGE_UNAVAILABLE = auto()
    BUCKET_ALREADY_EXISTS = auto()
    BUCKET_NOT_EMPTY = auto()
    BUCKET_DELETED = auto()
    BINDING_UNSUITABLE = auto()
    IMAGE_EXCLUDED = auto()
    IMAGE_UNSIGNABLE = auto()
    OPERATIONS_LIMIT_REACHED = auto()
    OPERATION_CANCELLED = auto()
    OPERATION_UNFINISHED = auto()
    OBJECT_MISSING = auto()
    STORE_FORBIDDEN = auto()
    STORE_UNREACHABLE = auto()
    STORE_ADDRESS_REFUSED = auto()
    STORE_THROTTLED = auto()
    STORE_BROKEN = auto()
    SIGNER_UNAVAILABLE = auto()
    IMAGES_LIMIT_REACHED = auto()
    WAITS_LIMIT_REACHED = auto()
