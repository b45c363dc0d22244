"""Image headers from bytes alone: types, corrections, and headers made to cost time or memory."""

import io
import struct
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.remote.headings import ImageFacts, dimensions, media_type, orientation
from catalog.remote.sparse import BLOCK_BYTES, HeaderError, SparseFile


def sparse(content: bytes, size: int | None = -1) -> SparseFile:
    file = SparseFile()
    file.size = len(content) if size == -1 else size
    for at in range(0, max(len(content), 1), BLOCK_BYTES):
        file.put(at // BLOCK_BYTES, content[at : at + BLOCK_BYTES])
    return file


def look(content: bytes) -> ImageFacts | None:
    kind = media_type(content[:4096])
    if kind is None:
        return None
    width, height = dimensions(sparse(content), kind) or (None, None)
    return ImageFacts(kind, width, height, orientation(sparse(content), kind))


def encoded(name: str, size: tuple[int, int] = (70, 40), **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, name, **options)
    return out.getvalue()


SAMPLES = {
    "image/jpeg": encoded("JPEG"),
    "image/png": encoded("PNG"),
    "image/gif": encoded("GIF"),
    "image/webp": encoded("WEBP"),
    "image/bmp": encoded("BMP"),
    "image/tiff": encoded("TIFF"),
    "image/avif": encoded("AVIF"),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_type_and_size_of_real_files(kind: str) -> None:
    assert look(SAMPLES[kind]) == ImageFacts(kind, 70, 40, None)


@pytest.mark.parametrize("lossless", [True, False])
def test_both_kinds_of_webp(lossless: bool) -> None:
    assert look(encoded("WEBP", lossless=lossless)) == ImageFacts("image/webp", 70, 40, None)


@pytest.mark.parametrize(
    "head",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf \n<?xml version='1.0'?>\n<svg>",
        b"<!-- a --><svg width='4'>",
        b"<!DOCTYPE svg PUBLIC 'x'><svg\n>",
    ],
)
def test_svg_is_known_and_never_measured(head: bytes) -> None:
    assert look(head) == ImageFacts("image/svg+xml", None, None, None)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BMW is a car",
        b"<html><svg>",
        b"<?xml version='1.0'?><svgx>",
        b"P6 1 1 255",
        b"%PDF-1",
    ],
)
def test_other_things_are_no_images(head: bytes) -> None:
    assert look(head) is None


def test_heic_is_told_from_avif_by_its_brands() -> None:
    assert media_type(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") == "image/heic"
    assert media_type(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif") == "image/avif"
    assert media_type(b"\0\0\0\x18ftypisom\0\0\0\0isommp42") is None


def test_sizes_that_are_often_misread() -> None:
    assert look(b"GIF89a" + struct.pack("<HH", 40_000, 65_535) + bytes(10)) == ImageFacts(
        "image/gif", 40_000, 65_535, None
    )
    webp = bytearray(encoded("WEBP", lossless=False))
    webp[27] |= 0x40
    assert look(bytes(webp)) == ImageFacts("image/webp", 70, 40, None)
    core = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 7, 9, 1, 24)
    assert look(core + bytes(40)) == ImageFacts("image/bmp", 7, 9, None)
    png = bytearray(SAMPLES["image/png"])
    png[16:24] = b"\xff" * 8
    assert look(bytes(png)) == ImageFacts("image/png", None, None, None)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_kept_beside_the_stored_size(name: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    facts = look(encoded(name, exif=exif))
    assert facts is not None
    assert (facts.width, facts.height, facts.orientation) == (70, 40, turn)


@pytest.mark.parametrize("turn", [0, 9, 65535])
def test_an_orientation_that_isn_t_one_is_none(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    facts = look(encoded("JPEG", exif=exif))
    assert facts is not None
    assert facts.orientation is None


def big_box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4s", len(payload) + 8, kind) + payload


def heif(*children: bytes) -> bytes:
    meta = big_box(b"meta", bytes(4) + b"".join(children))
    return big_box(b"ftyp", b"avif\0\0\0\0avif") + meta


HOSTILE = {
    "jpeg without a marker": b"\xff\xd8\xff" + bytes(600_000),
    "jpeg of padding": b"\xff\xd8" + b"\xff" * 600_000,
    "jpeg of empty segments": b"\xff\xd8" + b"\xff\xe0\0\2" * 150_000,
    "heif with items of endless extents": heif(
        big_box(b"iloc", bytes(4) + b"\0\0" + b"\xff\xff" + b"\0\1\0\0\xff\xff" * 80_000)
    ),
    "heif with endless properties": heif(
        big_box(b"iprp", big_box(b"ipma", bytes(4) + b"\xff" * 4 + b"\0\1\0" * 160_000))
    ),
    "heif of tiny boxes": heif(*[big_box(b"free", b"")] * 60_000),
    "heif with a box of all": heif(struct.pack(">I4sQ", 1, b"iprp", 2**63)),
    "tiff of endless entries": b"II*\0\x08\0\0\0\xff\xff" + b"\0\0\3\0" * 150_000,
    "big tiff of endless entries": b"II+\0\x08\0\0\0\x10"
    + bytes(7)
    + b"\xff" * 8
    + b"\1\0" * 300_000,
    "png of chunks": b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 0, b"tEXt") * 70_000,
    "webp of chunks": b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x08" + bytes(600_000),
    "tiff that points at itself": b"II*\0\0\0\0\0" * 60_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_cost_little(name: str) -> None:
    content = HOSTILE[name]
    tracemalloc.start()
    started = time.perf_counter()
    facts = look(content)
    took = time.perf_counter() - started
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert facts is not None
    # Ten times what it takes here; without the caps some of these take minutes.
    assert took < 3
    assert most < 32 * 2**20


@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 2000))
def test_truncated_files_are_judged(kind: str, length: int) -> None:
    content = SAMPLES[kind][:length]
    facts = look(content)
    assert facts is None or facts.media_type == kind


@settings(max_examples=300)
@given(
    st.sampled_from([*(sample[:12] for sample in SAMPLES.values()), b"", b"II*\0\x08\0\0\0"]),
    st.binary(max_size=2000),
)
def test_random_bytes_behind_a_known_beginning_are_judged(head: bytes, noise: bytes) -> None:
    facts = look(head + noise)
    assert facts is None or facts.width is None or facts.width > 0


@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
)
def test_damaged_files_are_judged(kind: str, damage: list[tuple[int, int]]) -> None:
    content = bytearray(SAMPLES[kind])
    for at, value in damage:
        content[at % len(content)] = value
    look(bytes(content))


def test_a_gap_is_noted_and_a_missing_size_is_no_end() -> None:
    file = SparseFile()
    file.put(0, bytes(BLOCK_BYTES))
    assert file.read(10) == bytes(10)
    file.seek(BLOCK_BYTES - 4)
    with pytest.raises(HeaderError):
        file.read(8)
    assert file.missing == 1
    file.put(1, b"ab")
    file.seek(BLOCK_BYTES - 4)
    assert file.read(8) == b"\0\0\0\0ab"
    for whence, offset in ((2, 0), (0, -1)):
        with pytest.raises(HeaderError):
            file.seek(offset, whence)
    with pytest.raises(HeaderError):
        file.read()


@pytest.mark.parametrize(("length", "most"), [(1, 20_000), (32 * 1024, 8)])
def test_a_parser_gets_so_many_reads_and_bytes_and_no_more(length: int, most: int) -> None:
    file = sparse(bytes(BLOCK_BYTES * 8))
    for _ in range(most):
        assert file.read(length) == bytes(length)
    with pytest.raises(HeaderError):
        file.read(length)
    assert file.missing is None
