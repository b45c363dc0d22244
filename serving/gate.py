"""The gate: the one outermost interceptor that every call of a server passes.

    gate = Gate(
        table=FaultTable("signer.sealmount", CODES), reasons=GateReasons.of(Reason), rules=RULES,
        identify=SpiffeIdentifier("example.org", Reason.IDENTITY_MISSING), grants=policy,
        ready=sealing.refusal, observe=RpcLog("signer"),
    )
    grpc.aio.server(interceptors=[gate])

In this order it takes the identity, asks whether the service is ready, parses, authorizes, sets the
deadline and runs the servicer. Parsing and serializing happen in here as well, because gRPC answers
an exception of its own (de)serializers, like one of a servicer, with the exception's text. From the
gate a caller gets a :class:`~serving.faults.Fault` as ``google.rpc.Status``, or one static INTERNAL
with a random ``error_id`` that is found again in the log.

The deadline is the caller's, cut at the rule's ``max_timeout``, or else the rule's ``timeout``. It
runs from the moment the request is complete.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from serving.calls import Caller, caller, deadline, request_id
from serving.faults import Fault
from serving.guarded import GateSettings, GuardedMethod, Handler, RpcRecord
from serving.names import not_found
from serving.rules import (
    HEALTH_RULES,
    REFLECTION_RULES,
    Access,
    GateReasons,
    Grants,
    Rule,
)
from serving.status import FaultTable

__all__ = [
    "Access",
    "Caller",
    "FaultTable",
    "Gate",
    "GateReasons",
    "RpcRecord",
    "Rule",
    "caller",
    "deadline",
    "not_found",
    "request_id",
]

DEFAULT_MAX_REQUEST_BYTES = 4 * 1024 * 1024


def _always_ready() -> Fault | None:
    return None


def _unobserved(_record: RpcRecord) -> None:
    return None


class Gate(grpc.aio.ServerInterceptor):
    """See the module. Every argument is by name; one Gate serves one server.

    ``ready`` gives the Fault with which every RPC but health is refused while the service can't
    work, or None. ``reflection`` lets the identities that the policy knows use server reflection;
    the rules for health and reflection are the gate's own. ``max_request_bytes`` should be below
    the transport's limit: what lies between the two is refused with a reason, what is beyond by
    gRPC itself, without one.
    """

    def __init__(
        self,
        *,
        table: FaultTable,
        reasons: GateReasons,
        rules: Mapping[str, Rule],
        identify: Callable[[Mapping[str, Any]], str],
        grants: Grants,
        ready: Callable[[], Fault | None] = _always_ready,
        observe: Callable[[RpcRecord], None] = _unobserved,
        reflection: bool = False,
        max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES,
    ) -> None:
        self._settings = GateSettings(
            table, reasons, identify, grants, ready, observe, max_request_bytes
        )
        self.rules = {**rules, **HEALTH_RULES, **(REFLECTION_RULES if reflection else {})}
        self._guarded: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[Handler | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:  # gRPC answers UNIMPLEMENTED; not kept, since callers invent names
                return None
            rule = self.rules.get(method)
            guarded = GuardedMethod(self._settings, method, handler, rule).handler()
            self._guarded[method] = guarded
        return guarded
