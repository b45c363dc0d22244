"""Probing real image files over HTTP, from stores with and without ranges, good and bad."""

import asyncio
import io
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from PIL import Image

from catalog.remote.errors import StoreErrorKind
from catalog.remote.guarded import StoreHttp
from catalog.remote.headings import ImageFacts
from catalog.remote.probe import ProbeOutcome, ProbeState, probe
from catalog.remote.sparse import BLOCK_BYTES
from catalog.remote.targets import StorePolicy
from tests.unit.remote.servers import Answer, RawServer, Seen, always, reply

MOMENT = datetime(2026, 11, 22, 18, 17, 55, tzinfo=UTC)
HEADERS = [
    ("ETag", '"e1"'),
    ("x-amz-version-id", "v1"),
    ("Last-Modified", "Sun, 22 Nov 2026 18:17:55 GMT"),
]


def noise(width: int, height: int) -> Image.Image:
    """An image that doesn't compress, so that its file is long; the same one each time."""
    return Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def encoded(name: str, **options: object) -> bytes:
    out = io.BytesIO()
    noise(300, 200).save(out, name, **options)
    return out.getvalue()


PROFILE = random.Random(8).randbytes(128 * 1024)
SAMPLES: dict[str, tuple[bytes, ImageFacts]] = {
    "jpeg with a large profile": (
        encoded("JPEG", icc_profile=PROFILE, exif=turned(), quality=95),
        ImageFacts("image/jpeg", 300, 200, 6),
    ),
    "jpeg": (encoded("JPEG"), ImageFacts("image/jpeg", 300, 200, None)),
    "png": (encoded("PNG", exif=turned()), ImageFacts("image/png", 300, 200, 6)),
    "gif": (encoded("GIF"), ImageFacts("image/gif", 300, 200, None)),
    "webp with exif at its end": (
        encoded("WEBP", lossless=True, exif=turned()),
        ImageFacts("image/webp", 300, 200, 6),
    ),
    "bmp": (encoded("BMP"), ImageFacts("image/bmp", 300, 200, None)),
    "tiff": (encoded("TIFF", exif=turned()), ImageFacts("image/tiff", 300, 200, 6)),
    "avif": (encoded("AVIF"), ImageFacts("image/avif", 300, 200, None)),
}


def tiff_with_its_directory_last() -> bytes:
    """The directory of Pillow's TIFF moved behind the pixels, 180,000 bytes further on."""
    pixels = bytes(300 * 200 * 3)
    tags = [(256, 3, 300), (257, 3, 200), (262, 3, 2), (274, 3, 3), (277, 3, 3)]
    entries = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + b"\1\0\0\0"
        + value.to_bytes(4, "little")
        for tag, kind, value in tags
    )
    directory = len(tags).to_bytes(2, "little") + entries + bytes(4)
    return b"II*\0" + (8 + len(pixels)).to_bytes(4, "little") + pixels + directory


SAMPLES["tiff with its directory last"] = (
    tiff_with_its_directory_last(),
    ImageFacts("image/tiff", 300, 200, 3),
)


def asked(seen: Seen) -> tuple[int, int] | None:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", seen.headers.get("range", ""))
    return (int(found[1]), int(found[2])) if found else None


def store(content: bytes, status: int = 206, told: bool = True) -> Answer:
    """Answers ranges as S3 does, or with status 200 as rclone, or (``told`` False) not at all."""

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        span = asked(seen)
        if span is None or not told:
            writer.write(reply(200, content, HEADERS))
        elif span[0] >= len(content):
            writer.write(reply(416, b"<Error><Code>InvalidRange</Code></Error>"))
        else:
            part = content[span[0] : span[1] + 1]
            place = f"bytes {span[0]}-{span[0] + len(part) - 1}/{len(content)}"
            writer.write(reply(status, part, [*HEADERS, ("Content-Range", place)]))

    return answer


async def probed(server: RawServer, **options: object) -> ProbeOutcome:
    async with StoreHttp(StorePolicy(frozenset({server.origin}))) as http:
        return await probe(http, f"{server.origin}/k?X-Amz-Signature=0f", **options)  # type: ignore[arg-type]


STORES: dict[str, Callable[[bytes], Answer]] = {
    "ranges": store,
    "ranges with status 200": lambda content: store(content, status=200),
    "no ranges": lambda content: store(content, told=False),
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", SAMPLES)
async def test_every_format_from_every_store(name: str, kind: str) -> None:
    content, facts = SAMPLES[name]
    async with RawServer(STORES[kind](content)) as server:
        outcome = await probed(server, expected_etag='"e1"')
    assert outcome == ProbeOutcome(
        state=ProbeState.AVAILABLE,
        image=facts,
        size=len(content),
        etag="e1",
        version="v1",
        last_modified=MOMENT,
    )
    assert len(server.seen) <= 3


async def test_no_more_is_fetched_than_asked_for_and_no_more_than_allowed() -> None:
    endless = b"\xff\xd8" + (b"\xff\xe0\xff\xff" + bytes(0xFFFD)) * 200
    for kind in STORES:
        async with RawServer(STORES[kind](endless)) as server:
            outcome = await probed(server)
        assert outcome.state is ProbeState.AVAILABLE
        assert outcome.image == ImageFacts("image/jpeg", None, None, None)
        assert not outcome.not_an_image
        spans = [asked(seen) for seen in server.seen]
        assert all(span and span[1] - span[0] + 1 == BLOCK_BYTES for span in spans)
        assert len(spans) == (2 if kind == "no ranges" else 8)


async def test_an_object_without_end_is_cut_off() -> None:
    async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200, b"\xff\xd8" + bytes(10), HEADERS, length=False))
        for _turn in range(2000):
            writer.write(bytes(65_536))
            await writer.drain()

    async with RawServer(endless) as server:
        outcome = await probed(server)
    assert outcome.state is ProbeState.AVAILABLE
    assert outcome.size is None
    assert len(server.seen) <= 2


@pytest.mark.parametrize("kind", STORES)
async def test_an_empty_object_is_no_image(kind: str) -> None:
    async with RawServer(STORES[kind](b"")) as server:
        outcome = await probed(server)
    assert (outcome.state, outcome.not_an_image) == (ProbeState.AVAILABLE, True)
    assert (outcome.size, outcome.etag, outcome.version) == (0, "e1", "v1")


async def test_text_is_no_image_but_compressed_bytes_may_be_one() -> None:
    async with RawServer(store(b"not an image at all")) as server:
        outcome = await probed(server)
    assert (outcome.state, outcome.image, outcome.not_an_image) == (
        ProbeState.AVAILABLE,
        None,
        True,
    )
    answer = reply(200, b"\x1f\x8b", [("Content-Encoding", "gzip")])
    async with RawServer(always(answer)) as server:
        assert not (await probed(server)).not_an_image


@pytest.mark.parametrize(
    ("status", "code", "state", "reason"),
    [
        (404, "NoSuchKey", ProbeState.MISSING, StoreErrorKind.NOT_FOUND),
        (404, "NoSuchBucket", ProbeState.UNKNOWN, StoreErrorKind.NOT_FOUND),
        (403, "AccessDenied", ProbeState.FORBIDDEN, StoreErrorKind.FORBIDDEN),
        (403, "RequestTimeTooSkewed", ProbeState.UNKNOWN, StoreErrorKind.CLOCK_SKEW),
        (503, "SlowDown", ProbeState.UNKNOWN, StoreErrorKind.THROTTLED),
        (500, "InternalError", ProbeState.UNKNOWN, StoreErrorKind.SERVER),
        (301, "PermanentRedirect", ProbeState.UNKNOWN, StoreErrorKind.REDIRECTED),
        (410, "Gone", ProbeState.UNKNOWN, StoreErrorKind.OTHER),
    ],
)
async def test_only_404_says_missing(
    status: int, code: str, state: ProbeState, reason: StoreErrorKind
) -> None:
    body = f"<Error><Code>{code}</Code></Error>".encode()
    async with RawServer(always(reply(status, body))) as server:
        outcome = await probed(server)
    assert outcome == ProbeOutcome(state, reason=reason, status=status, provider_code=code)


async def test_an_unreachable_store_says_unknown() -> None:
    async with RawServer(store(b"")) as server:
        pass
    outcome = await probed(server)
    assert outcome == ProbeOutcome(ProbeState.UNKNOWN, reason=StoreErrorKind.UNREACHABLE)


async def test_another_etag_says_changed_with_what_is_there_now() -> None:
    content, facts = SAMPLES["jpeg"]
    async with RawServer(store(content)) as server:
        outcome = await probed(server, expected_etag="e0")
    assert (outcome.state, outcome.etag, outcome.image) == (ProbeState.CHANGED, "e1", facts)


async def test_an_object_replaced_between_two_ranges_says_changed() -> None:
    content, _ = SAMPLES["jpeg with a large profile"]

    async def swapping(seen: Seen, writer: asyncio.StreamWriter) -> None:
        first, last = asked(seen) or (0, 0)
        place = f"bytes {first}-{last}/{len(content)}"
        headers = [("ETag", f'"{first}"'), ("Content-Range", place)]
        writer.write(reply(206, content[first : last + 1], headers))

    async with RawServer(swapping) as server:
        outcome = await probed(server)
    assert (outcome.state, outcome.image) == (ProbeState.CHANGED, None)
    assert not outcome.not_an_image


@pytest.mark.parametrize(
    "place",
    [
        *("bytes 1-65536/70000", "bytes 0-70000/70001", "bytes 0-10/70000", "bytes 5-4/70000"),
        *("bytes */70000", "0-65535/70000", "bytes 0-65535/9999999999999999999999", "", None),
    ],
)
async def test_ranges_that_don_t_fit_are_a_bad_response(place: str | None) -> None:
    headers = [] if place is None else [("Content-Range", place)]
    async with RawServer(always(reply(206, bytes(65_536), headers))) as server:
        outcome = await probed(server)
    assert (outcome.state, outcome.reason) == (ProbeState.UNKNOWN, StoreErrorKind.BAD_RESPONSE)


async def test_a_slow_store_ends_at_the_time_for_the_whole_look() -> None:
    content, _ = SAMPLES["jpeg with a large profile"]

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if asked(seen) != (0, BLOCK_BYTES - 1):
            await asyncio.sleep(10)
        await store(content)(seen, writer)

    started = asyncio.get_running_loop().time()
    async with RawServer(slow) as server:
        outcome = await probed(server, seconds=1.0)
    assert (outcome.state, outcome.reason) == (ProbeState.UNKNOWN, StoreErrorKind.TIMEOUT)
    assert asyncio.get_running_loop().time() - started < 5
    assert outcome.etag == "e1"
