"""What the guarded client sends, and what it takes back."""

import asyncio
import gzip

import pytest

from catalog.remote.errors import StoreError, StoreErrorKind
from tests.unit.remote.servers import Answer, ClientFor, RawServer, Seen, always, reply

SIGNED = "?X-Amz-Signature=0f&response-content-type=image%2Fpng&x=a+b&y=%7E&z=%2b"


@pytest.mark.parametrize(
    "path",
    [
        *("/plain", "/%2E%2E/x", "/a/../b", "/./a", "/a//b", "//lead", "/~%7E", "/a+b%2Bc%20d"),
        *("/%C3%A9%CC%81", "/%c3%a9", "/a%2Fb", "/a;b=c,d", "/a:b@c", "/!$&'()*", "/%00%0A", "/%"),
    ],
)
async def test_the_url_travels_byte_for_byte(path: str, client_for: ClientFor) -> None:
    async with RawServer(always(reply(200))) as server:
        await client_for(server).fetch(
            "GET", f"{server.origin}{path}{SIGNED}", max_bytes=10, seconds=5
        )
        assert server.seen[0].line == f"GET {path}{SIGNED} HTTP/1.1"


async def test_no_header_is_added_behind_the_caller_s_back(client_for: ClientFor) -> None:
    async with RawServer(always(reply(200))) as server:
        http = client_for(server)
        for method in ("GET", "HEAD", "DELETE"):
            await http.fetch(method, f"{server.origin}/k", max_bytes=10, seconds=5)
        await http.fetch(
            "PUT",
            f"{server.origin}/k",
            {"If-None-Match": "*", "x-amz-meta-a": "b"},
            max_bytes=10,
            seconds=5,
            body=b"12345",
        )
        await http.fetch("GET", f"{server.origin}/k", max_bytes=10, seconds=5, byte_range=(5, 9))
    own = {"host", "user-agent", "accept-encoding"}
    bare = {"host": f"127.0.0.1:{server.port}", "user-agent": "sealmount"}
    assert all(bare.items() <= seen.headers.items() for seen in server.seen)
    assert all(seen.headers["accept-encoding"] == "identity" for seen in server.seen)
    assert [set(seen.headers) - own for seen in server.seen] == [
        set(),
        set(),
        {"content-length"},
        {"if-none-match", "x-amz-meta-a", "content-length"},
        {"range"},
    ]
    assert server.seen[3].body == b"12345"
    assert server.seen[4].headers["range"] == "bytes=5-9"


@pytest.mark.parametrize(
    "headers",
    [
        *({"Host": "10.0.0.1"}, {"Authorization": "x"}, {"Cookie": "x"}, {"Connection": "x"}),
        *({"Transfer-Encoding": "chunked"}, {"x-amz-a": "b\r\nHost: c"}, {"x-amz-\n": "b"}),
        *({"Accept-Encoding": "gzip"}, {"Range": "bytes=0-"}, {"x-amz-a": "é"}),
    ],
)
async def test_headers_that_steer_are_refused(
    headers: dict[str, str], client_for: ClientFor
) -> None:
    async with RawServer(always(reply(200))) as server:
        with pytest.raises(StoreError) as caught:
            await client_for(server).fetch(
                "GET", f"{server.origin}/k", headers, max_bytes=10, seconds=5
            )
        assert caught.value.kind is StoreErrorKind.REFUSED_URL
    assert server.seen == []


@pytest.mark.parametrize("method", ["POST", "get", "CONNECT", "GET / HTTP/1.1\r\nX:"])
async def test_other_methods_are_refused(method: str, client_for: ClientFor) -> None:
    async with RawServer(always(reply(200))) as server:
        with pytest.raises(StoreError) as caught:
            await client_for(server).fetch(method, f"{server.origin}/k", max_bytes=1, seconds=5)
        assert caught.value.kind is StoreErrorKind.REFUSED_URL
    assert server.seen == []


async def test_answers_keep_their_listed_headers_alone(client_for: ClientFor) -> None:
    given = [
        *(("ETag", '"e"'), ("X-Amz-Version-Id", "v"), ("X-Secret", "s"), ("Set-Cookie", "a=b")),
        *(("x-goog-hash", "crc32c=a"), ("x-goog-hash", "md5=b"), ("Last-Modified", "\xe9")),
    ]
    async with RawServer(always(reply(200, b"body", given))) as server:
        answer = await client_for(server).fetch("GET", f"{server.origin}/k", max_bytes=4, seconds=5)
    assert answer.body == b"body"
    assert answer.headers == {
        "etag": '"e"',
        "x-amz-version-id": "v",
        "x-goog-hash": "crc32c=a, md5=b",
        "content-length": "4",
    }


async def test_cookies_are_forgotten(client_for: ClientFor) -> None:
    answer = reply(200, b"", [("Set-Cookie", "a=b; Path=/")])
    async with RawServer(always(answer)) as server:
        http = client_for(server)
        for _ in range(2):
            await http.fetch("GET", f"{server.origin}/k", max_bytes=4, seconds=5)
    assert ["cookie" in seen.headers for seen in server.seen] == [False, False]


async def test_a_compressed_body_stays_compressed(client_for: ClientFor) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    answer = reply(200, bomb, [("Content-Encoding", "gzip")])
    async with RawServer(always(answer)) as server:
        http, url = client_for(server), f"{server.origin}/k"
        whole = await http.fetch("GET", url, max_bytes=len(bomb), seconds=5)
        assert whole.body == bomb
        with pytest.raises(StoreError) as caught:
            await http.fetch("GET", url, max_bytes=len(bomb), seconds=5, identity_only=True)
        assert caught.value.kind is StoreErrorKind.BAD_RESPONSE


async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(200, length=False))
    for _turn in range(1000):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def half(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def drip(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(200, length=False))
    for _turn in range(200):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drip_headers(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for turn in range(200):
        writer.write(f"X-{turn}: y\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.05)


async def silence(_: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


async def drip_error(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Oh\r\n\r\n")
    await drip(_, writer)


async def endless_headers(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for turn in range(20_000):
        writer.write(f"X-{turn}: {'y' * 4000}\r\n".encode())
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (endless, StoreErrorKind.TOO_LARGE),
        (always(reply(200, b"x" * 2000)), StoreErrorKind.TOO_LARGE),
        (drip, StoreErrorKind.TIMEOUT),
        (drip_headers, StoreErrorKind.TIMEOUT),
        (drip_error, StoreErrorKind.TIMEOUT),
        (silence, StoreErrorKind.TIMEOUT),
        (endless_headers, StoreErrorKind.BAD_RESPONSE),
        (always(reply(200, b"", [("X-Long", "y" * 9000)])), StoreErrorKind.BAD_RESPONSE),
        (always(reply(200, b"", [("X-Many", "y")] * 200)), StoreErrorKind.BAD_RESPONSE),
        (always(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), StoreErrorKind.BAD_RESPONSE),
        (always(b"\x16\x03\x01 not HTTP\r\n\r\n"), StoreErrorKind.BAD_RESPONSE),
    ],
)
async def test_hostile_answers_end_at_a_cap(
    answer: Answer, kind: StoreErrorKind, client_for: ClientFor
) -> None:
    started = asyncio.get_running_loop().time()
    seconds = 0.6 if kind is StoreErrorKind.TIMEOUT else 5
    async with RawServer(answer) as server:
        with pytest.raises(StoreError) as caught:
            await client_for(server).fetch(
                "GET", f"{server.origin}/k", max_bytes=1000, seconds=seconds
            )
        assert caught.value.kind is kind
    assert asyncio.get_running_loop().time() - started < 4


async def test_a_body_that_is_announced_too_large_isn_t_read(client_for: ClientFor) -> None:
    async def announce(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n")

    async with RawServer(announce) as server:
        http, url = client_for(server), f"{server.origin}/k"
        with pytest.raises(StoreError) as caught:
            await http.fetch("GET", url, max_bytes=1000, seconds=5)
        assert caught.value.kind is StoreErrorKind.TOO_LARGE
        head = await http.fetch("HEAD", url, max_bytes=0, seconds=5)
        assert head.headers["content-length"] == "5000000000"


async def test_a_body_that_breaks_off_is_no_body(client_for: ClientFor) -> None:
    async with RawServer(half) as server:
        with pytest.raises(StoreError) as caught:
            await client_for(server).fetch("GET", f"{server.origin}/k", max_bytes=1000, seconds=5)
        assert caught.value.kind is StoreErrorKind.UNREACHABLE


async def test_a_stream_comes_in_chunks_up_to_its_cap(client_for: ClientFor) -> None:
    body = bytes(range(256)) * 4000
    async with RawServer(always(reply(200, body))) as server:
        http, url = client_for(server), f"{server.origin}/k"
        async with http.stream("GET", url, max_bytes=len(body), seconds=5) as answer:
            assert b"".join([chunk async for chunk in answer]) == body
        async with http.stream("GET", url, max_bytes=len(body) - 1, seconds=5) as answer:
            with pytest.raises(StoreError) as caught:
                _ = [chunk async for chunk in answer]
        assert caught.value.kind is StoreErrorKind.TOO_LARGE
        async with http.stream("GET", url, max_bytes=0, seconds=5) as answer:
            assert await answer.read_up_to(1000) == body[:1000]
