"""What the guarded client sends up, how many at once, and what its errors survive."""

import asyncio
import pickle
from collections.abc import AsyncIterator

import pytest

from catalog.remote.errors import StoreError, StoreErrorKind
from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy
from tests.unit.remote.servers import ClientFor, RawServer, Seen, always, reply


async def test_what_the_caller_raises_inside_a_stream_stays_his(client_for: ClientFor) -> None:
    async with RawServer(always(reply(200, b"body"))) as server:
        http = client_for(server)
        with pytest.raises(KeyError):
            async with http.stream("GET", f"{server.origin}/k", max_bytes=9, seconds=5):
                raise KeyError


async def test_an_upload_is_streamed_with_its_length(client_for: ClientFor) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"0123456789"

    async with RawServer(always(reply(200))) as server:
        await client_for(server).fetch(
            "PUT",
            f"{server.origin}/k",
            {"Content-Length": "100", "Content-Type": "image/png"},
            max_bytes=10,
            seconds=5,
            body=parts(),
        )
    assert server.seen[0].body == b"0123456789" * 10
    assert "transfer-encoding" not in server.seen[0].headers
    assert server.seen[0].headers["content-type"] == "image/png"


async def test_what_breaks_an_upload_comes_out_as_it_was(client_for: ClientFor) -> None:
    broken = StoreError(StoreErrorKind.TOO_LARGE, 200)

    async def parts() -> AsyncIterator[bytes]:
        yield b"0123456789"
        raise broken

    async with RawServer(always(reply(200))) as server:
        with pytest.raises(StoreError) as caught:
            await client_for(server).fetch(
                "PUT",
                f"{server.origin}/k",
                {"Content-Length": "100"},
                max_bytes=10,
                seconds=5,
                body=parts(),
            )
    assert caught.value is broken


async def test_one_store_sees_a_limited_number_of_connections() -> None:
    busy = most = 0

    async def count(_: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.02)
        busy -= 1
        writer.write(reply(200))

    async with RawServer(count) as server:
        policy = StorePolicy(frozenset({server.origin}))
        async with StoreHttp(policy, connections_per_origin=3) as http:
            calls = [
                http.fetch("GET", f"{server.origin}/{n}", max_bytes=1, seconds=5) for n in range(20)
            ]
            await asyncio.gather(*calls)
    assert most == 3
    assert server.connections == 3


def test_an_error_survives_copying() -> None:
    error = pickle.loads(pickle.dumps(StoreError(StoreErrorKind.SERVER, 500, "InternalError")))
    assert (error.kind, error.status, error.provider_code) == (
        StoreErrorKind.SERVER,
        500,
        "InternalError",
    )
    assert str(error) == "SERVER 500 InternalError"
