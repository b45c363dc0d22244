"""Every reason the Signer can refuse for, as it stands in ``ErrorInfo.reason``.

The contract documents each one with a worked example
(``protos/sealmount/signer/v1/error_reasons.proto``); a test holds the two lists equal.
"""

from enum import auto

from serving.faults import Reasons


class Reason(Reasons):
    """Value and name are the same: see ``Reasons``."""

    # the request
    INVALID_FIELD = auto()
    MALFORMED_REQUEST = auto()
    PAGE_TOKEN_INVALID = auto()
    REQUEST_ID_REUSED = auto()
    REQUEST_TOO_LARGE = auto()
    # who asks
    IDENTITY_MISSING = auto()
    ROLE_MISSING = auto()
    RESOURCE_NOT_FOUND = auto()
    # credentials
    CREDENTIAL_ALREADY_EXISTS = auto()
    CREDENTIAL_DISABLED = auto()
    CREDENTIAL_DESTROYED = auto()
    CREDENTIAL_EXPIRED = auto()
    CREDENTIAL_IN_USE = auto()
    CREDENTIAL_UNREADABLE = auto()
    SCOPE_EXCEEDED = auto()
    # bindings
    BINDING_ALREADY_EXISTS = auto()
    BINDING_HELD = auto()
    ETAG_MISMATCH = auto()
    HOLDERS_LIMIT_REACHED = auto()
    # signing
    BATCH_TOO_LARGE = auto()
    KEY_UNSIGNABLE = auto()
    LIFETIME_EXCEEDED = auto()
    METHOD_NOT_PERMITTED = auto()
    RESPONSE_TYPE_NOT_ALLOWED = auto()
    # the Signer's own condition
    AUDIT_UNAVAILABLE = auto()
    DEADLINE_EXCEEDED = auto()
    INTERNAL = auto()
    SEALED = auto()
    STATE_ROLLED_BACK = auto()
    STATE_STALE = auto()
    STATE_TAMPERED = auto()
    STORAGE_UNAVAILABLE = auto()
