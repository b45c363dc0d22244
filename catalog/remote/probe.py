"""Looks at an image through a signed GET URL, in as few bytes as will do.

    outcome = await probe(http, signed.url, terms.headers, expected_etag=image.etag)

A header is usually in the first 64 KiB; a TIFF's directory or a WebP's EXIF block may be at the
far end, a JPEG's size behind a large colour profile. So blocks are fetched where the parser asks
for one, up to MAX_RANGES. A store that ignores Range and sends the whole object is read from its
beginning and cut off.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from catalog.remote.errors import StoreError, StoreErrorKind
from catalog.remote.guarded import StoreHttp
from catalog.remote.headings import ImageFacts, dimensions, media_type, orientation
from catalog.remote.sparse import BLOCK_BYTES, SparseFile
from catalog.remote.transfer import StoreStream

MAX_RANGES = 8
MAX_ETAG_CHARS = 256
MAX_VERSION_CHARS = 1024  # as many as the Signer takes
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class ProbeState(StrEnum):
    """What a look at an object found."""

    AVAILABLE = "AVAILABLE"
    MISSING = "MISSING"
    """The store answered 404 for the object (not for its bucket: that is UNKNOWN)."""
    FORBIDDEN = "FORBIDDEN"
    """Refused. Without list permission S3 says this of a missing object too."""
    CHANGED = "CHANGED"
    """There, but not the object that was expected, or replaced while it was looked at."""
    UNKNOWN = "UNKNOWN"
    """Anything else; ``reason`` says what."""


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What is known of an object after a look.

    ``reason``, ``status`` and ``provider_code`` are those of the StoreError, if there was one.
    ``image`` is None when the bytes aren't an image's (then ``not_an_image``), weren't read, or
    are stored compressed (Content-Encoding), which nothing here unpacks.
    ``size`` is in bytes, ``etag`` has no quotes, ``version`` is S3's version id.
    """

    state: ProbeState
    reason: StoreErrorKind | None = None
    status: int | None = None
    provider_code: str | None = None
    image: ImageFacts | None = None
    not_an_image: bool = False
    size: int | None = None
    etag: str | None = None
    version: str | None = None
    last_modified: datetime | None = None


async def probe(
    http: StoreHttp,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    expected_etag: str | None = None,
    seconds: float = 30.0,
    max_ranges: int = MAX_RANGES,
) -> ProbeOutcome:
    """Look at one object within ``seconds``; never raises StoreError, the outcome holds it.

    ``url`` is signed for GET without a Range header, ``headers`` belong to it. At most
    ``max_ranges`` requests are sent and as many blocks of 64 KiB read, twice that from a store
    without ranges.
    """
    look = _Look(http, url, headers or {}, seconds, max_ranges)
    state, fault, image = ProbeState.AVAILABLE, None, None
    try:
        image = await look.read()
    except _ReplacedError:
        state = ProbeState.CHANGED
    except StoreError as problem:
        fault, state = problem, _state_of(problem)
    expected = (expected_etag or "").strip('"')
    if state is ProbeState.AVAILABLE and expected and look.etag and look.etag != expected:
        state = ProbeState.CHANGED
    return ProbeOutcome(
        state=state,
        reason=fault.kind if fault else None,
        status=fault.status if fault else None,
        provider_code=fault.provider_code if fault else None,
        image=image,
        not_an_image=look.complete and image is None and not look.compressed,
        size=look.file.size,
        etag=look.etag,
        version=look.version,
        last_modified=look.last_modified,
    )


def _state_of(fault: StoreError) -> ProbeState:
    if fault.status == 404 and fault.provider_code != "NoSuchBucket":
        return ProbeState.MISSING
    if fault.kind is StoreErrorKind.FORBIDDEN:
        return ProbeState.FORBIDDEN
    return ProbeState.UNKNOWN


class _ReplacedError(Exception):
    """Two answers were of two objects."""


class _Look:
    """One object being looked at: the blocks so far and what the first answer's headers said."""

    def __init__(
        self,
        http: StoreHttp,
        url: str,
        headers: Mapping[str, str],
        seconds: float,
        ranges: int,
    ) -> None:
        self._http = http
        self._url = url
        self._headers = headers
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._most = ranges
        self._left = ranges
        self._answered = False
        self.file = SparseFile()
        self.complete = False
        self.compressed = False
        self.etag: str | None = None
        self.version: str | None = None
        self.last_modified: datetime | None = None

    async def read(self) -> ImageFacts | None:
        """The facts, None for what isn't an image; raises StoreError or _ReplacedError."""
        await self._load(0)
        kind = media_type(self.file.head(BLOCK_BYTES))
        if kind is None:
            self.complete = True
            return None
        sides = dimensions(self.file, kind)
        while sides is None and await self._load_missing():
            sides = dimensions(self.file, kind)
        self.file.missing = None
        turn = orientation(self.file, kind)
        while turn is None and await self._load_missing():
            turn = orientation(self.file, kind)
        self.complete = True
        width, height = sides or (None, None)
        return ImageFacts(kind, width, height, turn)

    async def _load_missing(self) -> bool:
        """Fetch the block that the last parser stopped at, if it may still be fetched."""
        index, self.file.missing = self.file.missing, None
        if index is None or self._left <= 0:
            return False
        await self._load(index)
        return True

    async def _load(self, index: int) -> None:
        first = index * BLOCK_BYTES
        self._left -= 1
        try:
            await self._ask(index, (first, first + BLOCK_BYTES - 1))
        except StoreError as problem:
            if problem.status != 416:
                raise
        else:
            return
        if index > 0:
            self.file.put(index, b"")
        else:
            # An empty object has no first byte to ask for; without Range its headers come.
            await self._ask(0, None)

    async def _ask(self, index: int, byte_range: tuple[int, int] | None) -> None:
        left = self._deadline - asyncio.get_running_loop().time()
        async with self._http.stream(
            "GET",
            self._url,
            self._headers,
            max_bytes=BLOCK_BYTES,
            seconds=left,
            byte_range=byte_range,
        ) as answer:
            told = answer.headers.get("content-range")
            if told is not None:
                await self._take_range(index, told, answer)
            elif answer.status == 200:
                await self._take_whole(index, answer)
            else:
                raise StoreError(StoreErrorKind.BAD_RESPONSE, answer.status)

    async def _take_range(self, index: int, told: str, answer: StoreStream) -> None:
        """A block as asked for; rclone sends it with status 200 and a Content-Range."""
        found = _CONTENT_RANGE.fullmatch(told)
        if found is None:
            raise StoreError(StoreErrorKind.BAD_RESPONSE, answer.status)
        first, last = int(found[1]), int(found[2])
        size = None if found[3] == "*" else int(found[3])
        end = first + BLOCK_BYTES - 1
        expected = end if size is None else min(end, size - 1)
        if first != index * BLOCK_BYTES or not first <= last <= expected:
            raise StoreError(StoreErrorKind.BAD_RESPONSE, answer.status)
        block = await answer.read_up_to(last - first + 1)
        short = last < expected and size is not None
        if short or len(block) != last - first + 1:
            raise StoreError(StoreErrorKind.BAD_RESPONSE, answer.status)
        self._note(answer, size)
        self.file.put(index, block)

    async def _take_whole(self, index: int, answer: StoreStream) -> None:
        """The whole object: one block of it, or once all that may be read, if that isn't enough."""
        announced = answer.headers.get("content-length", "")
        most = 1 if index == 0 else self._most
        data = await answer.read_up_to(most * BLOCK_BYTES)
        size = int(announced) if re.fullmatch("[0-9]{1,18}", announced) else None
        if size is None and len(data) < most * BLOCK_BYTES:
            size = len(data)
        self._note(answer, size)
        for at in range(0, max(len(data), 1), BLOCK_BYTES):
            self.file.put(at // BLOCK_BYTES, data[at : at + BLOCK_BYTES])
        if index > 0:
            self._left = 0

    def _note(self, answer: StoreStream, size: int | None) -> None:
        given = (answer.headers.get("etag") or "").removeprefix("W/").strip('"')
        etag = _short(given, MAX_ETAG_CHARS)
        if self._answered:
            if etag != self.etag or (None not in (size, self.file.size) and size != self.file.size):
                raise _ReplacedError
            return
        self._answered = True
        self.etag = etag
        self.version = _short(answer.headers.get("x-amz-version-id"), MAX_VERSION_CHARS)
        self.last_modified = _http_date(answer.headers.get("last-modified"))
        self.file.size = size
        self.compressed = answer.headers.get("content-encoding", "identity") != "identity"


def _short(text: str | None, longest: int) -> str | None:
    """None for what no store means: thousands of them would make a page too long to be sent."""
    return text if text and len(text) <= longest else None


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
