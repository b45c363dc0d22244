"""From each reason to its gRPC status code (AIP-193), our own and the Signer's."""

from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from sealmount.type.v1 import signing_pb2

from catalog.domain.model import OperationFault
from catalog.domain.ports import SIGNER_DOMAIN, Url
from catalog.domain.reasons import Reason
from serving.gate import FaultTable

DOMAIN = "catalog.sealmount.dev"

CODES: dict[Reason, StatusCode] = {
    Reason.INVALID_FIELD: StatusCode.INVALID_ARGUMENT,
    Reason.MALFORMED_REQUEST: StatusCode.INVALID_ARGUMENT,
    Reason.PAGE_TOKEN_INVALID: StatusCode.INVALID_ARGUMENT,
    Reason.REQUEST_ID_REUSED: StatusCode.ALREADY_EXISTS,
    Reason.REQUEST_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    Reason.IDENTITY_MISSING: StatusCode.UNAUTHENTICATED,
    Reason.ROLE_MISSING: StatusCode.PERMISSION_DENIED,
    Reason.RESOURCE_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.ETAG_MISMATCH: StatusCode.ABORTED,
    Reason.BATCH_TOO_LARGE: StatusCode.INVALID_ARGUMENT,
    Reason.DEADLINE_EXCEEDED: StatusCode.DEADLINE_EXCEEDED,
    Reason.INTERNAL: StatusCode.INTERNAL,
    Reason.STORAGE_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.BUCKET_ALREADY_EXISTS: StatusCode.ALREADY_EXISTS,
    Reason.BUCKET_NOT_EMPTY: StatusCode.FAILED_PRECONDITION,
    Reason.BUCKET_DELETED: StatusCode.ABORTED,
    Reason.BINDING_UNSUITABLE: StatusCode.FAILED_PRECONDITION,
    Reason.IMAGE_EXCLUDED: StatusCode.FAILED_PRECONDITION,
    Reason.IMAGE_UNSIGNABLE: StatusCode.FAILED_PRECONDITION,
    Reason.OPERATIONS_LIMIT_REACHED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.OPERATION_CANCELLED: StatusCode.CANCELLED,
    Reason.OPERATION_UNFINISHED: StatusCode.FAILED_PRECONDITION,
    Reason.OBJECT_MISSING: StatusCode.FAILED_PRECONDITION,
    Reason.STORE_FORBIDDEN: StatusCode.FAILED_PRECONDITION,
    Reason.STORE_UNREACHABLE: StatusCode.UNAVAILABLE,
    Reason.STORE_ADDRESS_REFUSED: StatusCode.FAILED_PRECONDITION,
    Reason.STORE_THROTTLED: StatusCode.UNAVAILABLE,
    Reason.STORE_BROKEN: StatusCode.FAILED_PRECONDITION,
    Reason.SIGNER_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.IMAGES_LIMIT_REACHED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.WAITS_LIMIT_REACHED: StatusCode.RESOURCE_EXHAUSTED,
}

TABLE = FaultTable(DOMAIN, CODES)

# The Signer's reasons that end an operation, kept there by name alone. Whatever isn't here is what
# most of them are: something must be put right first.
_SIGNER_CODES: dict[str, StatusCode] = {
    "RESOURCE_NOT_FOUND": StatusCode.NOT_FOUND,
    "ROLE_MISSING": StatusCode.PERMISSION_DENIED,
    "IDENTITY_MISSING": StatusCode.UNAUTHENTICATED,
    "METHOD_NOT_PERMITTED": StatusCode.PERMISSION_DENIED,
    "AUDIT_UNAVAILABLE": StatusCode.UNAVAILABLE,
    "STATE_STALE": StatusCode.UNAVAILABLE,
    "STORAGE_UNAVAILABLE": StatusCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": StatusCode.DEADLINE_EXCEEDED,
    "INTERNAL": StatusCode.INTERNAL,
    "CREDENTIAL_UNREADABLE": StatusCode.DATA_LOSS,
    "STATE_TAMPERED": StatusCode.DATA_LOSS,
    "INVALID_FIELD": StatusCode.INVALID_ARGUMENT,
    "KEY_UNSIGNABLE": StatusCode.INVALID_ARGUMENT,
    "LIFETIME_EXCEEDED": StatusCode.INVALID_ARGUMENT,
}


def code_of(reason: str, domain: str = "") -> int:
    """The number of a reason's gRPC code. A reason of nobody's is INTERNAL."""
    if domain == SIGNER_DOMAIN:
        code = _SIGNER_CODES.get(reason, StatusCode.FAILED_PRECONDITION)
    else:
        code = CODES[Reason(reason)] if reason in Reason.__members__ else StatusCode.INTERNAL
    number: int = code.value[0]
    return number


def operation_error(fault: OperationFault) -> status_pb2.Status:
    """What ``google.longrunning.Operation.error`` holds: one ErrorInfo, as errors of RPCs do."""
    status = status_pb2.Status(code=code_of(fault.reason, fault.domain), message=fault.message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=fault.reason, domain=fault.domain or DOMAIN, metadata=fault.metadata
        )
    )
    return status


def item_error(reason: str, message: str, code: int = 0) -> signing_pb2.ItemError:
    """``code`` 0 stands for the reason's own."""
    return signing_pb2.ItemError(code=code or code_of(reason), reason=reason, message=message)


def url_error(url: Url) -> signing_pb2.ItemError:
    return item_error(url.reason, url.message, url.code)
