"""Nothing of a request or of an exception leaves the gate: not as status, trailer or log line."""

import asyncio
import base64
import io
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from serving import telemetry
from serving.faults import Fault
from serving.telemetry import RpcLog
from tests.integration.serving.harness import (
    Message,
    Pki,
    Reason,
    call,
    path,
    running,
    stream,
    streaming,
    unary,
)

pytestmark = pytest.mark.timeout(60)
CANARY = "kaNary/+sEcret~0123456789"
OURS = Message(name="projects/acme/things/t", payload=CANARY)


def shapes_of(canary: str) -> Iterator[bytes]:
    """As it is, and as it may have been written on the way; then every window of 8 characters."""
    raw = canary.encode()
    yield from (raw, base64.b64encode(raw), raw.hex().encode(), quote(canary, safe="").encode())
    for start in range(len(raw) - 7):
        yield raw[start : start + 8]


def assert_silent(*places: bytes) -> None:
    for place in places:
        for shape in shapes_of(CANARY):
            assert shape not in place


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that the process would write to stderr as a log, at DEBUG."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    telemetry.configure("signer", "DEBUG", stream)
    yield stream
    root.handlers[:], root.level, logging.raiseExceptions = before
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)


def plain(_request: Any, _context: Any) -> Any:
    raise ValueError(CANARY)


async def raises(_request: Any, _context: Any) -> Any:
    raise ValueError(CANARY)


async def nested(_request: Any, _context: Any) -> Any:
    async def deeper() -> None:
        await asyncio.sleep(0)
        raise KeyError(CANARY)

    await asyncio.gather(deeper())


async def with_cause(_request: Any, _context: Any) -> Any:
    try:
        raise OSError(5, CANARY, CANARY)
    except OSError as error:
        raise RuntimeError(CANARY) from error


async def fault_from(_request: Any, _context: Any) -> Any:
    try:
        raise OSError(CANARY)
    except OSError as error:
        raise Fault(Reason.SEALED, "The service is sealed.") from error


async def grouped(_request: Any, _context: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        group.create_task(raises(None, None))


async def leaves(_request: Any, _context: Any) -> Any:
    sys.exit(CANARY)


async def unserializable(_request: Any, _context: Any) -> Any:
    return CANARY


async def by_details(_request: Any, context: Any) -> Any:
    context.set_code(grpc.StatusCode.UNIMPLEMENTED)
    context.set_details(CANARY)
    raise NotImplementedError(CANARY)


class BaseOnly(BaseException):
    """Like the panics of a Rust extension: no Exception."""


async def base_only(_request: Any, _context: Any) -> Any:
    raise BaseOnly(CANARY)


WRONG = [
    plain,
    raises,
    nested,
    with_cause,
    grouped,
    leaves,
    unserializable,
    by_details,
    base_only,
]


@pytest.mark.parametrize("behavior", WRONG, ids=lambda f: f.__name__)
async def test_an_exceptions_text_stays_inside(
    shared_pki: Pki,
    log: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    behavior: Callable[..., Any],
) -> None:
    handlers = {"Do": unary(behavior)}
    async with running(shared_pki, handlers, observe=RpcLog("signer")) as server:
        answer = await server.call("Do", OURS)
    assert answer.code is grpc.StatusCode.INTERNAL
    assert answer.info.reason == "INTERNAL"
    written = log.getvalue()
    assert answer.info.metadata["error_id"] in written
    out, err = capfd.readouterr()
    # The request is in the DEBUG line through the redactor; this probe's fields carry no option.
    lines = written.replace(f'"payload":"{CANARY}"', "")
    assert_silent(answer.everything(), lines.encode(), out.encode(), err.encode())


async def test_the_log_says_where_it_happened(shared_pki: Pki, log: io.StringIO) -> None:
    handlers = {"Do": unary(with_cause)}
    async with running(shared_pki, handlers, observe=RpcLog("signer")) as server:
        await server.call("Do", OURS)
    written = log.getvalue()
    assert '"exception":"RuntimeError"' in written
    assert '"exception":"OSError"' in written
    assert "serving/test_serving_silence.py:" in written
    assert ":with_cause" in written


async def test_a_fault_hides_what_caused_it(shared_pki: Pki, log: io.StringIO) -> None:
    handlers = {"Do": unary(fault_from)}
    async with running(shared_pki, handlers, observe=RpcLog("signer")) as server:
        answer = await server.call("Do", Message(name=OURS.name))
    assert answer.info.reason == "SEALED"
    assert_silent(answer.everything(), log.getvalue().encode())


async def test_a_streams_exception(
    shared_pki: Pki, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    async def items(request: Any, _context: Any) -> AsyncIterator[Any]:
        yield Message(name=request.name)
        raise ValueError(CANARY)

    async def wrong_type(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield CANARY

    async def writes_wrong(_request: Any, context: Any) -> None:
        await context.write(CANARY)

    handlers = {"A": streaming(items), "B": streaming(wrong_type), "C": streaming(writes_wrong)}
    observe = RpcLog("signer")
    async with (
        running(shared_pki, handlers, observe=observe) as server,
        server.channel() as channel,
    ):
        answers = [await stream(channel, name, Message(name=OURS.name)) for name in handlers]
    assert [len(answer.items) for answer in answers] == [1, 0, 0]
    out, err = capfd.readouterr()
    for answer in answers:
        assert answer.info.reason == "INTERNAL"
        assert_silent(answer.everything(), log.getvalue().encode(), out.encode(), err.encode())


async def test_malformed_bytes_are_not_echoed(
    shared_pki: Pki, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    async def echo(request: Any, _context: Any) -> Any:
        return request

    good = Message(name=CANARY, inner=Message(payload=CANARY)).SerializeToString()
    broken = [
        good[:-1],
        b"\xff" + good,
        good + b"\x0a\x7f",
        b"\x0a\xff\xff\xff\xff\x0f" + CANARY.encode(),
        b"\x0a\x1a\xff" + CANARY.encode(),  # no UTF-8 in a string field
    ]
    async with (
        running(shared_pki, {"Echo": unary(echo)}, observe=RpcLog("signer")) as server,
        server.channel() as channel,
    ):
        answers = [await call(channel, "Echo", raw) for raw in broken]
        well_formed = await call(channel, "Echo", good)
    out, err = capfd.readouterr()
    for answer in answers:
        assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
        assert answer.info.reason == "MALFORMED_REQUEST"
        assert_silent(answer.everything())
    assert well_formed.info.reason == "INVALID_FIELD"  # the name isn't echoed either
    assert_silent(well_formed.everything(), out.encode(), err.encode())


async def test_a_stray_name_is_not_echoed_when_not_found(shared_pki: Pki) -> None:
    async def echo(request: Any, _context: Any) -> Any:
        return request

    async with running(shared_pki, {"Echo": unary(echo)}) as server:
        answer = await server.call("Echo", Message(name=f"projects/beta/things/{CANARY}"))
    assert answer.code is grpc.StatusCode.NOT_FOUND
    assert dict(answer.info.metadata) == {}
    assert_silent(answer.everything())


async def test_a_failing_log_does_not_fail_the_call(shared_pki: Pki) -> None:
    async def echo(request: Any, _context: Any) -> Any:
        return request

    def broken(_record: Any) -> None:
        raise OSError(CANARY)

    async with running(shared_pki, {"Echo": unary(echo)}, observe=broken) as server:
        answer = await server.call("Echo", OURS)
    assert answer.code is grpc.StatusCode.OK
    assert path("Echo") == server.records[0][0]


async def test_what_nobody_catches_is_logged_without_its_text(
    log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    loop = asyncio.get_running_loop()
    telemetry.watch(loop)

    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    loop.call_soon(fail)
    await asyncio.sleep(0.01)
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    logging.getLogger("botocore.endpoint").warning("GET %s", CANARY)
    logging.getLogger("asyncio").error(CANARY, exc_info=ValueError(CANARY))
    logging.getLogger("boto3").info(CANARY)
    out, err = capfd.readouterr()
    written = log.getvalue()
    assert written.count('"exception":"ValueError"') == 4
    assert '"logger":"botocore.endpoint"' in written
    assert '"logger":"boto3"' not in written
    assert_silent(written.encode(), out.encode(), err.encode())
