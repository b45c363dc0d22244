"""Failures of every kind, and that none of them says where it was or what the store answered."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

import pytest

from catalog.remote.errors import StoreError, StoreErrorKind
from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy
from tests.unit.remote.authority import Authority
from tests.unit.remote.servers import (
    CANARY,
    PUBLIC_ADDRESS,
    Answer,
    RawServer,
    TableResolver,
    Wires,
    always,
    reply,
)
from tests.unit.remote.test_guarded_wire import drip, endless, endless_headers, half, silence

Kind = StoreErrorKind
TAIL = f"/{CANARY}.jpg?X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}"


def allowed(server: RawServer) -> StoreHttp:
    return StoreHttp(StorePolicy(frozenset({server.origin})))


def document(code: str, message: str = "Hello") -> bytes:
    return (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>"
        f"<StringToSign>{CANARY}</StringToSign></Error>"
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (403, document("AccessDenied"), Kind.FORBIDDEN, "AccessDenied"),
        (403, document("SignatureDoesNotMatch"), Kind.FORBIDDEN, "SignatureDoesNotMatch"),
        (403, b"<html>", Kind.FORBIDDEN, None),
        (401, b"", Kind.FORBIDDEN, None),
        (400, document("ExpiredToken"), Kind.FORBIDDEN, "ExpiredToken"),
        (400, document("AccessDenied"), Kind.FORBIDDEN, "AccessDenied"),
        (403, document("AccessDenied", "Request has expired"), Kind.CLOCK_SKEW, "AccessDenied"),
        (403, document("RequestTimeTooSkewed"), Kind.CLOCK_SKEW, "RequestTimeTooSkewed"),
        (404, document("NoSuchKey"), Kind.NOT_FOUND, "NoSuchKey"),
        (404, document("NoSuchBucket"), Kind.NOT_FOUND, "NoSuchBucket"),
        (412, document("PreconditionFailed"), Kind.PRECONDITION_FAILED, "PreconditionFailed"),
        (409, document("ConditionalRequestConflict"), Kind.THROTTLED, "ConditionalRequestConflict"),
        (503, document("SlowDown"), Kind.THROTTLED, "SlowDown"),
        (429, b"", Kind.THROTTLED, None),
        (500, document("InternalError"), Kind.SERVER, "InternalError"),
        (503, b"", Kind.SERVER, None),
        (501, document("NotImplemented"), Kind.SERVER, "NotImplemented"),
        (301, document("PermanentRedirect"), Kind.REDIRECTED, "PermanentRedirect"),
        (304, b"", Kind.OTHER, None),
        (416, document("InvalidRange"), Kind.OTHER, "InvalidRange"),
        (404, document("A" * 65), Kind.NOT_FOUND, None),
        (404, document(f"{CANARY}?"), Kind.NOT_FOUND, None),
        (404, b" " * 16_384 + document("TooLate"), Kind.NOT_FOUND, None),
    ],
)
async def test_answers_become_kinds(
    status: int, body: bytes, kind: StoreErrorKind, code: str | None
) -> None:
    async with RawServer(always(reply(status, body))) as server, allowed(server) as http:
        error = await failure(http, f"{server.origin}{TAIL}")
    assert (error.kind, error.status, error.provider_code) == (kind, status, code)
    assert_silent(error)


def test_a_kind_knows_whether_to_try_again() -> None:
    assert {kind for kind in Kind if kind.retryable} == {
        Kind.UNREACHABLE,
        Kind.TIMEOUT,
        Kind.THROTTLED,
        Kind.SERVER,
        Kind.CLOCK_SKEW,
    }


async def failure(http: StoreHttp, url: str, seconds: float = 5) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await http.fetch("GET", url, max_bytes=1000, seconds=seconds)
    return caught.value


def assert_silent(error: StoreError) -> None:
    """Nothing that a log could print of the error, or of what hangs on it, has the canary."""
    printed = [str(error), repr(error), repr(error.args), repr(vars(error))]
    printed += traceback.format_exception(error)
    link: BaseException | None = error
    while link is not None:
        printed += [repr(link), str(link), *map(repr, getattr(link, "__notes__", ()))]
        link = link.__context__ or link.__cause__
    assert CANARY not in "\n".join(printed)
    assert error.__context__ is None
    assert error.__cause__ is None


async def from_server(answer: Answer, seconds: float = 5) -> StoreError:
    async with RawServer(answer) as server, allowed(server) as http:
        return await failure(http, f"{server.origin}{TAIL}", seconds=seconds)


async def unresolved() -> StoreError:
    async with StoreHttp(resolver=TableResolver({})) as http:
        return await failure(http, f"https://{CANARY}.example.com{TAIL}")


async def refused_connection() -> StoreError:
    async with RawServer(always(b"")) as server:
        pass
    async with allowed(server) as http:
        return await failure(http, f"{server.origin}{TAIL}")


async def refused_address() -> StoreError:
    resolver = TableResolver({f"{CANARY}.example.com": [["10.0.0.1"]]})
    async with StoreHttp(resolver=resolver) as http:
        return await failure(http, f"https://{CANARY}.example.com{TAIL}")


async def refused_url() -> StoreError:
    async with StoreHttp() as http:
        return await failure(http, f"https://10.0.0.1{TAIL}")


async def not_trusted() -> StoreError:
    host = f"{CANARY}.example.com"
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with (
            RawServer(always(b""), Authority().server(host)) as server,
            StoreHttp(resolver=TableResolver({host: [[PUBLIC_ADDRESS]]})) as http,
        ):
            Wires(monkeypatch, server.port)
            return await failure(http, f"https://{host}{TAIL}")


async def bad_upload() -> StoreError:
    answer = always(b"HTTP/1.1 zzz\r\n\r\n")
    async with RawServer(answer) as server, allowed(server) as http:
        with pytest.raises(StoreError) as caught:
            await http.fetch("PUT", f"{server.origin}{TAIL}", max_bytes=9, seconds=5, body=b"x")
        return caught.value


async def closed_client() -> StoreError:
    async with RawServer(always(reply(200))) as server:
        http = allowed(server)
        async with http.stream("GET", f"{server.origin}/k", max_bytes=1, seconds=5):
            pass
        next(iter(http._sessions.values()))._connector = None
        return await failure(http, f"{server.origin}{TAIL}")


@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        (unresolved, Kind.UNREACHABLE),
        (refused_connection, Kind.UNREACHABLE),
        (refused_address, Kind.REFUSED_ADDRESS),
        (refused_url, Kind.REFUSED_URL),
        (not_trusted, Kind.TLS),
        (bad_upload, Kind.BAD_RESPONSE),
        (closed_client, Kind.OTHER),
        (lambda: from_server(silence, seconds=0.5), Kind.TIMEOUT),
        (lambda: from_server(drip, seconds=0.5), Kind.TIMEOUT),
        (lambda: from_server(half), Kind.UNREACHABLE),
        (lambda: from_server(endless), Kind.TOO_LARGE),
        (lambda: from_server(endless_headers), Kind.BAD_RESPONSE),
        (lambda: from_server(always(b"nonsense\r\n\r\n")), Kind.BAD_RESPONSE),
        (
            lambda: from_server(
                always(reply(302, b"", [("Location", f"https://x.example.com/{CANARY}")]))
            ),
            Kind.REDIRECTED,
        ),
    ],
)
async def test_no_failure_says_where_it_was(
    fail: Callable[[], Awaitable[StoreError]],
    kind: StoreErrorKind,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    error = await fail()
    await asyncio.sleep(0.01)
    assert error.kind is kind
    assert_silent(error)
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())
