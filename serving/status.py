"""From a :class:`~serving.faults.Fault` to ``google.rpc.Status`` (AIP-193).

Exactly one ``ErrorInfo`` per status, and a ``BadRequest`` when single fields are to blame. A status
travels in the HTTP/2 trailers, which peers cap at 8 KiB, so it is cut to fit: violations go first.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving.faults import Fault, ForeignFault

MAX_STATUS_BYTES = 4096
MAX_METADATA_VALUE = 256


_R = TypeVar("_R", bound=StrEnum)
_CODES: Mapping[int, grpc.StatusCode] = {
    code.value[0]: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK
}


class FaultTable:
    """The total map from one service's reasons to gRPC codes.

    ``codes`` must name every member of its enum: a reason added later without a code is a
    ValueError when the service starts, not a surprise on the wire. ``domain`` is the
    ``ErrorInfo.domain``, such as ``signer.sealmount``.
    """

    def __init__(self, domain: str, codes: Mapping[_R, grpc.StatusCode]) -> None:
        enums = {type(reason) for reason in codes}
        if len(enums) != 1:
            raise ValueError("the table must hold the reasons of exactly one enum")
        missing = [reason.name for reason in enums.pop() if reason not in codes]
        if missing:
            raise ValueError(f"reasons without a status code: {', '.join(missing)}")
        if grpc.StatusCode.OK in codes.values():
            raise ValueError("OK is no code for a refusal")
        self._domain = domain
        self._codes: Mapping[str, grpc.StatusCode] = {str(key): codes[key] for key in codes}

    def code(self, fault: Fault) -> grpc.StatusCode:
        """KeyError for a reason of another enum: the caller treats that as a bug (INTERNAL)."""
        if isinstance(fault, ForeignFault):
            return _CODES[fault.code]
        return self._codes[fault.reason]

    def status(self, fault: Fault) -> grpc.Status:
        """The status to abort with. KeyError as in :meth:`code`."""
        info = error_details_pb2.ErrorInfo(
            reason=str(fault.reason),
            domain=fault.domain if isinstance(fault, ForeignFault) else self._domain,
            metadata={key: value[:MAX_METADATA_VALUE] for key, value in fault.metadata.items()},
        )
        message = status_pb2.Status(code=self.code(fault).value[0], message=fault.message)
        message.details.add().Pack(info)
        bad = _bad_request(fault, MAX_STATUS_BYTES - message.ByteSize())
        if bad.field_violations:
            message.details.add().Pack(bad)
        status: grpc.Status = rpc_status.to_status(message)
        return status


def _bad_request(fault: Fault, room: int) -> error_details_pb2.BadRequest:
    """As many violations as ``room`` bytes hold, with slack for the Any around them."""
    bad = error_details_pb2.BadRequest()
    for violation in fault.violations:
        bad.field_violations.add(field=violation.field, description=violation.description)
        if bad.ByteSize() > room - 128:
            del bad.field_violations[-1]
            break
    return bad
