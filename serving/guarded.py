"""One RPC behind the gate: what :mod:`serving.gate` puts around each handler, once per method."""

import asyncio
import contextlib
import inspect
import itertools
import re
import secrets
import time
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import grpc

from serving.calls import Call, enter
from serving.faults import Fault
from serving.rules import GateReasons, Grants, Rule, compile_rule
from serving.status import FaultTable

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_PREFIX = secrets.token_hex(4)
_COUNTER = itertools.count(1)
_UNLISTED = Rule(frozenset({"nobody"}))

# Strings: gRPC's classes are generic in their type stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


@dataclass(slots=True)
class RpcRecord:
    """What is known of a call when it ends: what ``observe`` gets, once per call.

    ``seconds`` is the time from complete request to answer. ``request`` is the parsed message:
    print it through :mod:`serving.redaction` only. ``error`` is what a bug raised: print it through
    :mod:`serving.scrub` only. Both are taken away when ``observe`` returns.
    """

    method: str
    quiet: bool
    request_id: str
    started: float
    identity: str = ""
    project: str = ""
    code: str = "OK"
    reason: str = ""
    seconds: float = 0.0
    error_id: str = ""
    request: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What every method of one server shares."""

    table: FaultTable
    reasons: GateReasons
    identify: Callable[[Mapping[str, Any]], str]
    grants: Grants
    ready: Callable[[], Fault | None]
    observe: Callable[[RpcRecord], None]
    max_request_bytes: int


class _CallerGone(Exception):
    """The stream can't be written to any more."""


class GuardedMethod:
    """A handler with its rule, and everything that doesn't depend on the call worked out."""

    def __init__(
        self, settings: GateSettings, method: str, handler: Handler, rule: Rule | None
    ) -> None:
        self._settings = settings
        self._method = method
        self._handler = handler
        self._rule = rule or _UNLISTED
        self._authorize = compile_rule(method, rule, settings.grants, settings.reasons)
        self._parse: Callable[[bytes], Any] = handler.request_deserializer or bytes
        self._serialize: Callable[[Any], bytes] = handler.response_serializer or bytes
        # The behaviour stands under one of four names, by the shape of the RPC.
        sides = (handler.request_streaming, handler.response_streaming)
        self._shape = "_".join("stream" if streaming else "unary" for streaming in sides)
        self._behavior: Callable[[Any, Context], Any] = getattr(handler, self._shape)

    def handler(self) -> Handler:
        """The handler for gRPC. Unary messages are still bytes on its side of the gate."""
        make = getattr(grpc, f"{self._shape}_rpc_method_handler")
        answer = self._stream_out if self._handler.response_streaming else self._unary_out
        # A stream is parsed within the servicer's `async for`, and so within the gate's try.
        parse = self._parse_strictly if self._handler.request_streaming else None
        serialize = self._handler.response_serializer if self._handler.response_streaming else None
        return cast("Handler", make(answer, parse, serialize))

    async def _unary_out(self, raw: Any, context: Context) -> bytes:
        record = self._record(context)
        scope: asyncio.Timeout | None = None
        try:
            request, limit = self._admit(raw, context, record)
            async with asyncio.timeout_at(limit) as scope:
                answer = self._behavior(request, context)
                response = await answer if inspect.isawaitable(answer) else answer
            return self._serialize(response)
        except BaseException as error:  # noqa: BLE001  # gRPC would send what escapes from here
            refusal = self._refusal(error, scope, record)
        finally:
            self._done(record)
        return await context.abort_with_status(refusal)

    async def _stream_out(self, raw: Any, context: Context) -> None:
        record = self._record(context)
        scope: asyncio.Timeout | None = None
        refusal = None
        try:
            request, limit = self._admit(raw, context, record)
            async with asyncio.timeout_at(limit) as scope:
                await _send_all(self._behavior(request, context), context)
        except BaseException as error:  # noqa: BLE001  # gRPC would send what escapes from here
            refusal = self._refusal(error, scope, record)
        finally:
            self._done(record)
        if refusal is not None:
            await context.abort_with_status(refusal)

    def _record(self, context: Context) -> RpcRecord:
        for key, value in context.invocation_metadata() or ():
            if key == "x-request-id" and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
                return RpcRecord(self._method, self._rule.quiet, value, time.monotonic())
        made = f"{_PREFIX}-{next(_COUNTER):x}"
        return RpcRecord(self._method, self._rule.quiet, made, time.monotonic())

    def _admit(self, raw: Any, context: Context, record: RpcRecord) -> tuple[Any, float | None]:
        """The request for the servicer, and the deadline; or a Fault."""
        settings = self._settings
        record.identity = settings.identify(context.auth_context())
        if not self._rule.while_unready:
            unready = settings.ready()
            if unready is not None:
                raise unready
        request = raw if self._handler.request_streaming else self._parse_strictly(raw)
        record.request = request
        who = self._authorize(record.identity, request)
        record.project = who.project
        limit = self._limit(context, record.started)
        enter(Call(who, limit, record.request_id))
        return request, limit

    def _parse_strictly(self, raw: bytes) -> Any:
        settings = self._settings
        if len(raw) > settings.max_request_bytes:
            raise Fault(
                settings.reasons.request_too_large,
                "The request is larger than this service takes.",
                {"max_bytes": str(settings.max_request_bytes)},
            )
        try:
            return self._parse(raw)
        except Exception:  # noqa: BLE001  # a deserializer's own text may quote the request
            raise Fault(settings.reasons.malformed, "The request can't be parsed.") from None

    def _limit(self, context: Context, started: float) -> float | None:
        """On the clock of ``time.monotonic``, which is asyncio's own too."""
        asked = cast("float | None", context.time_remaining())
        rule = self._rule
        if asked is None:
            return None if rule.timeout is None else started + rule.timeout
        if rule.max_timeout is not None and rule.max_timeout < asked:
            return started + rule.max_timeout
        return started + asked

    def _refusal(
        self, error: BaseException, scope: asyncio.Timeout | None, record: RpcRecord
    ) -> grpc.Status:
        """The status to end the call with. Raises ``error`` again when gRPC must see it."""
        if isinstance(error, grpc.aio.AbortError):  # health aborts by itself; the status is sent
            record.code = "ABORTED_BY_SERVICER"
            raise error
        if _is_cancelled(error):
            record.code = "CANCELLED"
            raise error
        if isinstance(error, _CallerGone):
            record.code = "CANCELLED"
            raise asyncio.CancelledError
        reasons = self._settings.reasons
        fault = error if isinstance(error, Fault) else None
        if fault is None and scope is not None and scope.expired():
            fault = Fault(reasons.deadline, "The call took longer than its deadline.")
        if fault is not None:
            # A reason that is in no table, or metadata that is no text, is a bug like any other.
            with contextlib.suppress(Exception):
                return self._answer(fault, record)
        record.error = error
        record.error_id = secrets.token_hex(8)
        message = "Something went wrong inside. Quote the error_id when you report it."
        return self._answer(Fault(reasons.internal, message, {"error_id": record.error_id}), record)

    def _answer(self, fault: Fault, record: RpcRecord) -> grpc.Status:
        table = self._settings.table
        status = table.status(fault)
        record.code = table.code(fault).name
        record.reason = str(fault.reason)
        return status

    def _done(self, record: RpcRecord) -> None:
        record.seconds = time.monotonic() - record.started
        with contextlib.suppress(Exception):  # a log that fails must not fail the call
            self._settings.observe(record)
        record.request = record.error = None


async def _send_all(answer: Any, context: Context) -> None:
    """Both styles of aio servicer: an async generator, or a coroutine that writes by itself."""
    if not isinstance(answer, AsyncIterable):
        await answer
        return
    async with contextlib.AsyncExitStack() as stack:
        if inspect.isasyncgen(answer):
            await stack.enter_async_context(aclosing(answer))
        async for response in answer:
            try:
                await context.write(response)
            except grpc.aio.InternalError:
                raise _CallerGone from None


def _is_cancelled(error: BaseException) -> bool:
    """True when this call was cancelled, by its caller or by the drain.

    A CancelledError that nobody aimed at this task came out of something that the servicer awaited:
    a bug like any other, and one that gRPC would answer with nothing at all.
    """
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)
