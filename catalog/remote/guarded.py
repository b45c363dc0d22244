"""The one HTTP client that the Catalog reaches object stores with.

    async with StoreHttp(StorePolicy()) as http:
        page = await http.fetch("GET", url, terms.headers, max_bytes=LISTING_MAX_BYTES, seconds=30)

The URL comes from the Signer, but the host in it was a customer's choice, and so is everything
that comes back. The client therefore connects only where the rules allow, follows nothing, keeps
nothing, decodes nothing, and stops at the caller's limits of bytes and time. Every failure is a
StoreError, which has no room for a URL.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import yarl

from catalog.remote.errors import (
    StoreError,
    StoreErrorKind,
    error_from_answer,
    error_from_exception,
)
from catalog.remote.gate import Gate, Resolver, SystemResolver
from catalog.remote.headers import kept_headers, request_headers
from catalog.remote.targets import RefusedUrl, StorePolicy, Target, parse_url
from catalog.remote.transfer import ERROR_BODY_BYTES, StoreStream, Upload, read_at_most

_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 30.0
_CONNECTIONS = 512
_HEADER_CHARS = 8190
_HEADERS = 96


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """A whole answer: a 2xx ``status``, the kept headers (lowercased names) and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StoreHttp:
    """A guarded client; use it as an async context manager, once per process.

    ``policy`` says what the deployment allows in spite of the rules, ``ssl_context`` whom to trust
    (the system's authorities by default; it must check certificates and host names), and
    ``connections_per_origin`` how many connections one store may see at a time.
    """

    def __init__(
        self,
        policy: StorePolicy | None = None,
        *,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connections_per_origin: int = 32,
    ) -> None:
        context = ssl_context or ssl.create_default_context()
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("The TLS context must check certificates and host names.")
        self._policy = policy or StorePolicy()
        self._own_resolver: SystemResolver | None = None
        if resolver is None:
            resolver = self._own_resolver = SystemResolver()
        self._resolver = resolver
        self._ssl_context = context
        self._connections_per_origin = connections_per_origin
        # One session for everybody's origins and one for each that the deployment lists: what is
        # relaxed for a listed origin can't be reached through another one's connections.
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; the client can't be used afterwards."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()
        if self._own_resolver is not None:
            self._own_resolver.close()

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int,
        seconds: float,
        byte_range: tuple[int, int] | None = None,
        body: bytes | AsyncIterable[bytes] | None = None,
        identity_only: bool = False,
    ) -> StoreResponse:
        """One request, its whole answer of at most ``max_bytes``, within ``seconds``.

        ``byte_range`` is inclusive; a store may answer it with 206 or with 200, so look at
        ``content-range``. A ``body`` that is a stream needs its Content-Length among ``headers``.
        ``identity_only`` refuses a body that says it is compressed. Raises StoreError for
        everything but a 2xx answer; what a streaming ``body`` raises comes out as it is.
        """
        async with self.stream(
            method,
            url,
            headers,
            max_bytes=max_bytes,
            seconds=seconds,
            byte_range=byte_range,
            body=body,
        ) as answer:
            encoding = answer.headers.get("content-encoding", "identity").strip().lower()
            if identity_only and encoding not in ("", "identity"):
                raise StoreError(StoreErrorKind.BAD_RESPONSE, answer.status)
            content = await answer.read_all()
        return StoreResponse(answer.status, answer.headers, content)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        max_bytes: int,
        seconds: float,
        byte_range: tuple[int, int] | None = None,
        body: bytes | AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[StoreStream]:
        """Like ``fetch``, but the body is iterated in chunks as they arrive.

        ``seconds`` bounds the transfer from the first look-up to the last byte. Leaving the block
        early closes the connection; at the end of the body it goes back to the pool.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        upload = None if body is None or isinstance(body, bytes) else Upload(body)
        data = upload.chunks() if upload is not None else body
        response: aiohttp.ClientResponse | None = None
        fault: Exception | None = None
        try:
            response = await self._send(method, url, headers or {}, byte_range, data, deadline)
        except RefusedUrl:
            fault = StoreError(StoreErrorKind.REFUSED_URL)
        except Exception as problem:  # noqa: BLE001 - nothing that may carry the URL gets past here
            fault = (upload and upload.failure) or error_from_exception(problem)
        if response is None:
            # Outside the handler, so that the problem isn't the fault's __context__.
            raise fault or StoreError(StoreErrorKind.OTHER)
        try:
            yield StoreStream(response, kept_headers(response.headers), max_bytes, deadline)
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        byte_range: tuple[int, int] | None,
        data: bytes | AsyncIterable[bytes] | None,
        deadline: float,
    ) -> aiohttp.ClientResponse:
        """The response, its body unread, if it is a success; whatever goes wrong is raised."""
        if method not in _METHODS:
            raise RefusedUrl
        target = parse_url(url, self._policy)
        exact = _exact_url(url, target)
        sent = request_headers(headers, byte_range)
        async with asyncio.timeout_at(deadline):
            response = await self._session(target).request(
                method, exact, headers=sent, data=data, allow_redirects=False
            )
            if 200 <= response.status < 300:
                return response
            try:
                told = await read_at_most(response, ERROR_BODY_BYTES)
            finally:
                response.close()
        raise error_from_answer(response.status, told)

    def _session(self, target: Target) -> aiohttp.ClientSession:
        place = target.origin if target.listed else ""
        session = self._sessions.get(place)
        if session is None:
            session = self._sessions[place] = self._new_session(target if target.listed else None)
        return session

    def _new_session(self, listed: Target | None) -> aiohttp.ClientSession:
        gate = Gate(self._resolver, listed)
        connector = aiohttp.TCPConnector(
            ssl=self._ssl_context,
            resolver=gate,
            socket_factory=gate.open_socket,
            use_dns_cache=False,
            happy_eyeballs_delay=None,
            limit=_CONNECTIONS,
            limit_per_host=self._connections_per_origin,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS
            ),
            max_line_size=_HEADER_CHARS,
            max_field_size=_HEADER_CHARS,
            max_headers=_HEADERS,
        )


def _exact_url(url: str, target: Target) -> yarl.URL:
    """The URL as aiohttp takes it, sent byte for byte; raises RefusedUrl if yarl reads it apart.

    ``encoded=True`` keeps yarl from rewriting what was signed (``%7E`` to ``~``, ``/../x`` to
    ``/x``).
    """
    exact = yarl.URL(url, encoded=True)
    read = (exact.scheme, exact.raw_host, exact.port, exact.raw_path_qs)
    if read != (target.scheme, target.host, target.port, target.tail) or str(exact) != url:
        raise RefusedUrl
    return exact
