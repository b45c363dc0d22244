"""What a store does when it is broken or hostile, to be injected one request at a time.

    s3.faults.inject(status(503, "SlowDown"), times=2)
    s3.faults.inject(endless(), where=lambda seen: "list-type=2" in seen.target)

A fault either takes the place of the answer (``before``) or spoils it (``after``, ``send``).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from aiohttp import web

from tests.fakes.s3.errors import S3Error

ENDLESS_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True)
class Seen:
    """One request: the line and the headers as they came, names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Send = Callable[[web.BaseRequest, Reply], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Fault:
    """``before`` answers or raises in place of S3, ``after`` changes the reply, ``send`` sends."""

    name: str
    before: Callable[[], Awaitable[Reply | None]] | None = None
    after: Callable[[Reply], Reply] | None = None
    send: Send | None = None


@dataclass
class _Planned:
    fault: Fault
    times: int
    where: Callable[[Seen], bool]


class Faults:
    """The faults still to come; each request takes the first that fits."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []

    def inject(
        self, fault: Fault, times: int = 1, where: Callable[[Seen], bool] = lambda _: True
    ) -> None:
        """For the next ``times`` requests that ``where`` says yes to."""
        self._planned.append(_Planned(fault, times, where))

    def clear(self) -> None:
        self._planned.clear()

    def take(self, seen: Seen) -> Fault | None:
        for planned in self._planned:
            if planned.times > 0 and planned.where(seen):
                planned.times -= 1
                return planned.fault
        return None


def status(code: int, name: str = "InternalError", message: str = "Injected.") -> Fault:
    """An S3 error such as ``status(503, "SlowDown")``."""

    async def before() -> Reply:
        raise S3Error(code, name, message)

    return Fault(f"status {code}", before=before)


def raw(code: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Any answer at all: bombs with a Content-Encoding, HTML, an error that echoes secrets."""

    async def before() -> Reply:
        return Reply(code, headers, body)

    return Fault(f"raw {code}", before=before)


def redirect(location: str, code: int = 307) -> Fault:
    return replace(raw(code, {"Location": location}, b""), name=f"redirect {code}")


def hang(seconds: float = 600) -> Fault:
    """No answer for so long, then the real one."""

    async def before() -> None:
        await asyncio.sleep(seconds)

    return Fault("hang", before=before)


def corrupt() -> Fault:
    """The right length and ETag, but the first byte is another."""

    def after(reply: Reply) -> Reply:
        return replace(reply, body=bytes(b ^ 0xFF for b in reply.body[:1]) + reply.body[1:])

    return Fault("corrupt", after=after)


def repeat_token(token: str = "c2FtZQ==") -> Fault:
    """Every page says that there are more, behind the same token."""

    def after(reply: Reply) -> Reply:
        more = f"<NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"
        body = reply.body.replace(
            b"<IsTruncated>false</IsTruncated>", b"<IsTruncated>true</IsTruncated>"
        )
        start, found, rest = body.partition(b"<NextContinuationToken>")
        rest = rest.partition(b"</NextContinuationToken>")[2] if found else b""
        body = (start + rest).replace(b"</ListBucketResult>", more.encode())
        return replace(reply, body=body)

    return Fault("repeat token", after=after)


def doctype(entity: str = "file:///etc/passwd") -> Fault:
    """A document type with an external entity in front of the XML."""

    def after(reply: Reply) -> Reply:
        declaration, _, rest = reply.body.partition(b"\n")
        evil = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{entity}">]>\n'.encode()
        return replace(reply, body=declaration + b"\n" + evil + rest)

    return Fault("doctype", after=after)


def drop() -> Fault:
    """The connection ends without an answer. aiohttp tries a GET twice, so inject it twice."""

    async def send(request: web.BaseRequest, _: Reply) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.StreamResponse()

    return Fault("drop", send=send)


def truncate(after_bytes: int | None = None) -> Fault:
    """The whole length promised, half of the body (or ``after_bytes``) sent, then the end."""

    async def send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        length = len(reply.body)
        response = _stream(reply, {"Content-Length": str(length)})
        await response.prepare(request)
        await response.write(reply.body[: length // 2 if after_bytes is None else after_bytes])
        if request.transport is not None:
            request.transport.close()
        return response

    return Fault("truncate", send=send)


def drip(interval: float = 0.05, chunk: int = 1) -> Fault:
    """``chunk`` bytes every ``interval`` seconds: never idle, never done."""

    async def send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        response = _stream(reply, {"Content-Length": str(len(reply.body))})
        await response.prepare(request)
        for start in range(0, len(reply.body), chunk):
            await response.write(reply.body[start : start + chunk])
            await asyncio.sleep(interval)
        return response

    return Fault("drip", send=send)


def endless(limit: int = ENDLESS_LIMIT) -> Fault:
    """The body again and again until the client goes away; ``limit`` bytes at most."""

    async def send(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        response = _stream(reply, {})
        response.enable_chunked_encoding()
        await response.prepare(request)
        block = (reply.body or b"\0") * (65_536 // max(1, len(reply.body)) + 1)
        for _ in range(limit // len(block) + 1):
            await response.write(block)
        return response

    return Fault("endless", send=send)


def _stream(reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    return web.StreamResponse(status=reply.status, headers={**reply.headers, **headers})
