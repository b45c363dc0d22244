"""The Signer over gRPC: the port :class:`catalog.domain.ports.Signer`.

Signed URLs pass through as return values; none is kept, logged or put into an exception.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from typing import Any, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from sealmount.signer.v1 import error_reasons_pb2, resources_pb2, service_pb2, service_pb2_grpc
from sealmount.type.v1 import signing_pb2

from catalog.domain.ports import (
    SIGNER_DOMAIN,
    BindingInfo,
    ObjectToSign,
    Terms,
    Url,
    ViewOptions,
)
from catalog.domain.reasons import Reason
from serving import calls
from serving.faults import Fault, FieldViolation, ForeignFault
from serving.masking import suspicious

_SERVICE = "/sealmount.signer.v1.SignerService/"
RETRIED = tuple(
    _SERVICE + method
    for method in (
        "GetBinding",
        "HoldBinding",
        "ReleaseBinding",
        "BatchSignObjectUrls",
        "SignListUrl",
    )
)
"""What may be sent again: reads, and calls that change nothing the second time."""

_PREFIX = "ERROR_REASON_"
_REASONS = frozenset(
    name.removeprefix(_PREFIX) for name in error_reasons_pb2.ErrorReason.keys()[1:]
)
_SECONDS = 10.0
_PAGE_SIZE = 1000
_INTERNAL: int = grpc.StatusCode.INTERNAL.value[0]

Answer = TypeVar("Answer")


class GrpcSigner:
    """See :class:`catalog.domain.ports.Signer`. ``seconds`` bounds each call.

    A call made while answering an RPC never lasts longer than that RPC may.
    """

    def __init__(self, channel: grpc.aio.Channel, seconds: float = _SECONDS) -> None:
        self._channel = channel
        self._stub: Any = service_pb2_grpc.SignerServiceStub(channel)
        self._seconds = seconds

    async def close(self) -> None:
        await self._channel.close()

    async def replace(self, channel: grpc.aio.Channel, grace: float) -> None:
        """Sends new calls over another channel; those in flight have ``grace`` seconds."""
        before = self._channel
        self._channel, self._stub = channel, service_pb2_grpc.SignerServiceStub(channel)
        await before.close(grace)

    async def binding(self, name: str) -> BindingInfo:
        request = service_pb2.GetBindingRequest(name=name)
        return _binding(await self._call(self._stub.GetBinding, request))

    async def hold(self, binding: str, holder: str) -> BindingInfo:
        request = service_pb2.HoldBindingRequest(name=binding, holder=holder)
        return _binding(await self._call(self._stub.HoldBinding, request))

    async def release(self, binding: str, holder: str) -> None:
        request = service_pb2.ReleaseBindingRequest(name=binding, holder=holder)
        await self._call(self._stub.ReleaseBinding, request)

    async def object_urls(
        self,
        binding: str,
        objects: Sequence[ObjectToSign],
        options: ViewOptions,
        on_behalf_of: str,
    ) -> tuple[Terms, list[Url]]:
        request = service_pb2.BatchSignObjectUrlsRequest(
            binding=binding,
            options=_options(options),
            objects=[
                resources_pb2.ObjectRef(
                    key=one.key,
                    version=one.version,
                    version_epoch=one.version_epoch,
                    response_content_type=one.content_type,
                )
                for one in objects
            ],
            on_behalf_of=on_behalf_of,
        )
        answer = await self._call(self._stub.BatchSignObjectUrls, request)
        if len(answer.outcomes) != len(objects):
            raise Fault(Reason.INTERNAL, "The Signer answered for other objects than were asked.")
        return _terms(answer.terms), [_url(outcome) for outcome in answer.outcomes]

    async def listing_url(
        self,
        binding: str,
        prefix: str,
        start_after: str,
        continuation_token: str,
        on_behalf_of: str,
    ) -> tuple[Terms, str, str]:
        request = service_pb2.SignListUrlRequest(
            binding=binding,
            prefix=prefix,
            start_after=start_after,
            continuation_token=continuation_token,
            page_size=_PAGE_SIZE,
            options=resources_pb2.SignOptions(audience=signing_pb2.AUDIENCE_INTERNAL),
            on_behalf_of=on_behalf_of,
        )
        answer = await self._call(self._stub.SignListUrl, request)
        return _terms(answer.terms), answer.url, answer.location_prefix

    async def _call(self, method: Callable[..., Awaitable[Answer]], request: object) -> Answer:
        try:
            return await method(request, timeout=self._timeout())
        except grpc.aio.AioRpcError as error:
            fault = _fault(error)
        # Outside the handler, so that the fault doesn't carry gRPC's error as its context.
        raise fault

    def _timeout(self) -> float:
        try:
            due = calls.deadline()
        except LookupError:  # a job asks, not an RPC
            due = None
        if due is None:
            return self._seconds
        return max(0.001, min(self._seconds, due - time.monotonic()))


def _unavailable() -> Fault:
    return Fault(Reason.SIGNER_UNAVAILABLE, "The Signer can't be reached. Retry.")


def _fault(error: grpc.aio.AioRpcError) -> Fault:
    """The Signer's own refusal, or SIGNER_UNAVAILABLE when it isn't the Signer that answered."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # details of another status than the one that was sent
        status = None
    info = None if status is None else _info(status)
    if status is None or info is None:
        return _unavailable()
    message = status.message
    if suspicious(message):
        message = "The Signer refuses."
    metadata = {k: v for k, v in info.metadata.items() if not suspicious(v)}
    fault = ForeignFault(SIGNER_DOMAIN, status.code, info.reason, message, metadata)
    fault.violations = tuple(_violations(status))
    return fault


def _info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    """The one ErrorInfo, if it is of the Signer's domain and of a reason that it documents."""
    found = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            found.append(info)
    if len(found) != 1 or found[0].domain != SIGNER_DOMAIN or found[0].reason not in _REASONS:
        return None
    return found[0]


def _violations(status: status_pb2.Status) -> list[FieldViolation]:
    """Of those that have the same names here: other fields weren't the caller's."""
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(bad)
    return [
        FieldViolation(violation.field, "The Signer doesn't take this value: see its contract.")
        for violation in bad.field_violations
        if violation.field == "on_behalf_of"
        or (violation.field.startswith("options.") and violation.field.isascii())
    ]


def _binding(message: resources_pb2.Binding) -> BindingInfo:
    return BindingInfo(
        name=message.name,
        binding_class=_short(resources_pb2.Binding.Class, getattr(message, "class"), "CLASS_"),
        permissions=frozenset(
            _short(signing_pb2.Permission, value, "PERMISSION_") for value in message.permissions
        ),
        location_epoch=message.active.location_epoch,
    )


def _short(enum: Any, value: int, prefix: str) -> str:
    """ "" for a value that a newer Signer knows and we don't."""
    by_number = enum.DESCRIPTOR.values_by_number
    name: str = by_number[value].name if value in by_number else ""
    return name.removeprefix(prefix)


def _options(options: ViewOptions) -> resources_pb2.SignOptions:
    message = resources_pb2.SignOptions(
        method=signing_pb2.METHOD_GET, response_cache_control=options.response_cache_control
    )
    if options.ttl is not None:
        message.ttl.CopyFrom(Duration(seconds=int(options.ttl.total_seconds())))
    if options.audience:
        message.audience = signing_pb2.Audience.Value(f"AUDIENCE_{options.audience}")
    if options.disposition:
        message.disposition = signing_pb2.Disposition.Value(f"DISPOSITION_{options.disposition}")
    return message


def _terms(message: signing_pb2.UrlTerms) -> Terms:
    return Terms(
        method=message.method,
        headers=dict(message.headers),
        not_after=message.not_after.ToDatetime(tzinfo=UTC),
        refresh_after=message.refresh_after.ToDatetime(tzinfo=UTC),
        revision=message.revision,
        location_epoch=message.location_epoch,
    )


def _url(outcome: service_pb2.UrlOutcome) -> Url:
    if outcome.WhichOneof("outcome") == "url":
        return Url(url=outcome.url)
    error = outcome.error
    if error.reason not in _REASONS or suspicious(error.message):
        message = "The Signer refuses for a reason that isn't known here."
        return Url(code=_INTERNAL, reason=Reason.INTERNAL, message=message)
    return Url(code=error.code, reason=error.reason, message=error.message)
