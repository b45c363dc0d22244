"""The gate over real mutual TLS: streams, sizes, reflection and health."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from serving.faults import Fault
from serving.gate import Rule
from tests.integration.serving.harness import (
    DOMAIN,
    Message,
    Pki,
    Reason,
    both_streaming,
    call,
    path,
    running,
    stream,
    streaming,
    unary,
)

pytestmark = pytest.mark.timeout(60)
OURS = Message(name="projects/acme/things/t")
THEIRS = Message(name="projects/beta/things/t")


async def echo(request: Any, _context: Any) -> Any:
    return request


async def test_streams_pass_the_same_gate(shared_pki: Pki) -> None:
    closed = asyncio.Event()

    async def three(request: Any, _context: Any) -> AsyncIterator[Any]:
        try:
            for _ in range(3):
                yield request
            raise Fault(Reason.SEALED, "The service is sealed.")
        finally:
            closed.set()

    async def writer(request: Any, context: Any) -> None:
        await context.write(request)

    async def forever(request: Any, _context: Any) -> AsyncIterator[Any]:
        while True:
            yield request
            await asyncio.sleep(0.05)

    handlers = {"Three": streaming(three), "Writer": streaming(writer), "Ever": streaming(forever)}
    rules = {path(name): Rule(frozenset({"reader"}), "name", timeout=0.3) for name in handlers}
    async with running(shared_pki, handlers, rules=rules) as server, server.channel() as channel:
        answer = await stream(channel, "Three", OURS)
        theirs = await stream(channel, "Three", THEIRS)
        written = await stream(channel, "Writer", OURS)
        ever = await stream(channel, "Ever", OURS)
    assert len(answer.items) == 3
    assert answer.info.reason == "SEALED"
    assert closed.is_set()
    assert (theirs.code, theirs.items) == (grpc.StatusCode.NOT_FOUND, ())
    assert (written.code, len(written.items)) == (grpc.StatusCode.OK, 1)
    assert ever.info.reason == "DEADLINE_EXCEEDED"
    assert len(ever.items) >= 2


async def test_a_malformed_message_in_a_request_stream(shared_pki: Pki) -> None:
    async def relay(requests: Any, _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    rules = {path("Relay"): Rule(frozenset({"reader"}))}
    handlers = {"Relay": both_streaming(relay)}
    async with running(shared_pki, handlers, rules=rules) as server, server.channel() as channel:
        rpc: Any = channel.stream_stream(path("Relay"))
        sent = [OURS.SerializeToString(), b"\xff\xff"]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            assert len([item async for item in rpc(iter(sent))]) == 2
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_oversize_is_refused_and_the_server_stays_well(shared_pki: Pki) -> None:
    limits = {"max_receive_bytes": 64 * 1024, "max_send_bytes": 96 * 1024}
    canary = "kaNary" * 100

    async def large(_request: Any, _context: Any) -> Any:
        return Message(payload=canary * 1000)

    handlers = {"Echo": unary(echo), "Large": unary(large)}
    async with (
        running(shared_pki, handlers, config=limits, max_request_bytes=32 * 1024) as server,
        server.channel() as channel,
    ):
        gates = await call(channel, "Echo", Message(name=OURS.name, payload="x" * 40_000))
        grpcs = await call(channel, "Echo", Message(name=OURS.name, payload=canary * 200))
        answers = await call(channel, "Large", OURS)
        after = await call(channel, "Echo", OURS)
    assert gates.info.reason == "REQUEST_TOO_LARGE"
    assert dict(gates.info.metadata) == {"max_bytes": "32768"}
    assert grpcs.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert b"kaNary" not in grpcs.everything()
    assert answers.code is not grpc.StatusCode.OK
    assert b"kaNary" not in answers.everything()
    assert after.code is grpc.StatusCode.OK


async def test_too_much_metadata_is_refused(shared_pki: Pki) -> None:
    async with running(shared_pki, {"Echo": unary(echo)}) as server, server.channel() as channel:
        answer = await call(channel, "Echo", OURS, metadata=(("x-junk", "kaNary" * 20_000),))
        after = await call(channel, "Echo", OURS)
    assert answer.code is not grpc.StatusCode.OK
    assert b"kaNary" not in answer.everything()
    assert after.code is grpc.StatusCode.OK


async def test_reflection_by_policy(shared_pki: Pki) -> None:
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    with contextlib.suppress(FileExistsError, ValueError):
        shared_pki.issue("stranger")

    async def reflect(client: str, **options: Any) -> grpc.StatusCode:
        async with (
            running(shared_pki, {"Echo": unary(echo)}, **options) as server,
            server.channel(client) as channel,
        ):
            rpc: Any = channel.stream_stream(method)
            call = rpc(iter([b"\x3a\x00"]), timeout=10)  # list_services
            with contextlib.suppress(grpc.aio.AioRpcError):
                assert b"grpc.health.v1.Health" in b"".join([item async for item in call])
            code: grpc.StatusCode = await call.code()
            return code

    assert await reflect("client", reflection=True) is grpc.StatusCode.OK
    assert await reflect("stranger", reflection=True) is grpc.StatusCode.PERMISSION_DENIED
    assert await reflect("client") is grpc.StatusCode.UNIMPLEMENTED


async def test_health_is_open_to_every_identity_of_the_domain(shared_pki: Pki) -> None:
    with contextlib.suppress(FileExistsError, ValueError):
        shared_pki.issue("stranger")
    async with running(shared_pki, {"Echo": unary(echo)}) as server:
        check = await server.call("/grpc.health.v1.Health/Check", client="stranger")
        listed = await server.call("/grpc.health.v1.Health/List", client="stranger")
        echoed = await server.call("Echo", OURS, client="stranger")
    assert check.raw == b"\x08\x01"
    assert DOMAIN.encode() not in listed.raw
    assert listed.code is grpc.StatusCode.OK
    assert echoed.code is grpc.StatusCode.NOT_FOUND
