"""Bytes on their way: an answer's body under its caps, and a request's body with its failures."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Self

import aiohttp

from catalog.remote.errors import StoreError, StoreErrorKind, error_from_exception

ERROR_BODY_BYTES = 16_384


class StoreStream:
    """The body of a successful answer: iterate over it, or read it at once.

    ``status`` is 2xx, ``headers`` are the kept ones under lowercased names. Chunks are as long as
    they arrive, none is empty. Everything raises StoreError: TOO_LARGE past ``max_bytes``, TIMEOUT
    past the deadline, UNREACHABLE when the connection ends before the body does.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        headers: Mapping[str, str],
        max_bytes: int,
        deadline: float,
    ) -> None:
        self.status = response.status
        self.headers = headers
        self._bodyless = response.method == "HEAD"
        self._content = response.content
        self._left = max_bytes
        self._deadline = deadline

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._next_chunk()
        if not chunk:
            raise StopAsyncIteration
        self._left -= len(chunk)
        if self._left < 0:
            raise StoreError(StoreErrorKind.TOO_LARGE, self.status)
        return chunk

    async def read_all(self) -> bytes:
        """The whole body; one that announces more than the cap isn't read at all."""
        # A HEAD answer announces the length of a body that it doesn't have.
        length = "" if self._bodyless else self.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._left:
            raise StoreError(StoreErrorKind.TOO_LARGE, self.status)
        return b"".join([chunk async for chunk in self])

    async def read_up_to(self, limit: int) -> bytes:
        """The first ``limit`` bytes of what is left, or all of it if that is less."""
        parts: list[bytes] = []
        wanted = limit
        while wanted > 0:
            chunk = await self._next_chunk()
            if not chunk:
                break
            parts.append(chunk[:wanted])
            wanted -= len(parts[-1])
        return b"".join(parts)

    async def _next_chunk(self) -> bytes:
        chunk: bytes | None = None
        fault: StoreError | None = None
        try:
            async with asyncio.timeout_at(self._deadline):
                chunk = await self._content.readany()
        except Exception as problem:  # noqa: BLE001 - nothing that may carry the URL gets past here
            fault = error_from_exception(problem)
        if chunk is None:
            raise fault or StoreError(StoreErrorKind.OTHER)
        return chunk


class Upload:
    """A streaming request body that remembers what broke it.

    aiohttp turns an exception of the body into one of its own; ``failure`` is the original.
    """

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source
        self.failure: Exception | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """What the source yields."""
        try:
            async for chunk in self._source:
                yield chunk
        except Exception as problem:
            self.failure = problem
            raise


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The beginning of a body, for the error code in it; a body that breaks off counts so far."""
    parts: list[bytes] = []
    wanted = limit
    try:
        while wanted > 0 and (chunk := await response.content.readany()):
            parts.append(chunk[:wanted])
            wanted -= len(parts[-1])
    except aiohttp.ClientError:
        pass
    return b"".join(parts)
