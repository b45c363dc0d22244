"""What the first bytes of an image say: media type, width, height, orientation.

The file may be hostile. The sizes come from ``imagesize``, which is only ever given a file whose
type was recognised here, so that of its parsers just those for our types run; the bounds on work
are the file's own (see ``sparse``).
"""

import struct
from dataclasses import dataclass

import imagesize

from catalog.remote.sparse import HeaderError, SparseFile

_SNIFF_BYTES = 4096
_MAX_SIDE = 2**31 - 1
_MAX_SEGMENTS = 64
_MAX_TAGS = 256
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_EXIF = b"Exif\0\0"
_DIB_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx"})
_MAX_BRANDS = 32
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header says.

    ``width`` and ``height`` are those of the stored pixels, before any rotation; both are None
    when the header doesn't tell (SVG, or a broken file). ``orientation`` is the EXIF value, 1 to
    8, None when there is none (5 to 8 swap width and height on screen).
    """

    media_type: str
    width: int | None
    height: int | None
    orientation: int | None


def media_type(head: bytes) -> str | None:
    """The type that the leading bytes show, None for what isn't an image that we know."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(_TIFF_MAGIC):
        return "image/tiff"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _DIB_HEADERS:
        return "image/bmp"
    if head[4:8] == b"ftyp":
        return _iso_type(head)
    return "image/svg+xml" if _is_svg(head[:_SNIFF_BYTES]) else None


def _iso_type(head: bytes) -> str | None:
    length = min(int.from_bytes(head[:4], "big"), len(head), 16 + 4 * _MAX_BRANDS)
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length, 4))}
    if brands & _AVIF_BRANDS:
        return "image/avif"
    return "image/heic" if brands & _HEIC_BRANDS else None


def _is_svg(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith((b"<svg", b"<?xml", b"<!--", b"<!DOCTYPE svg")):
        return False
    at = text.find(b"<svg")
    return at >= 0 and text[at + 4 : at + 5] in (b"", b" ", b"\t", b"\r", b"\n", b">", b"/")


def dimensions(file: SparseFile, kind: str) -> tuple[int, int] | None:
    """Stored width and height, None if they can't be told from the blocks that are here."""
    if kind == "image/svg+xml":
        return None
    # Without the rotation imagesize also leaves the item tables of HEIF alone, whose counts a
    # hostile file can multiply into hours of work. It swallows HeaderError, which is fine: what
    # is missing is noted in the file.
    width, height = imagesize.get(file, exif_rotation=False)
    head = file.head(32)
    if kind == "image/gif" and len(head) >= 10:  # which it reads as signed numbers
        width, height = struct.unpack_from("<HH", head, 6)
    elif kind == "image/bmp" and head[14:18] == b"\x0c\0\0\0" and len(head) >= 22:  # OS/2
        width, height = struct.unpack_from("<HH", head, 18)
    elif kind == "image/webp" and head[12:16] == b"VP8 " and width > 0:
        # The upper two of 16 bits are for scaling (RFC 6386, section 9.1).
        width, height = width & 0x3FFF, height & 0x3FFF
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        return None
    return int(width), int(height)


def orientation(file: SparseFile, kind: str) -> int | None:
    """The EXIF orientation of a JPEG, PNG, TIFF or WebP, None if there is none to be had."""
    readers = {
        "image/jpeg": _jpeg_exif,
        "image/png": _png_exif,
        "image/tiff": lambda _: 0,
        "image/webp": _webp_exif,
    }
    try:
        start = readers[kind](file) if kind in readers else None
        return None if start is None else _tiff_orientation(file, start)
    except HeaderError:
        return None


def _exact(file: SparseFile, at: int, length: int) -> bytes:
    file.seek(at)
    data = file.read(length)
    if len(data) != length:
        raise HeaderError
    return data


def _tiff_orientation(file: SparseFile, start: int) -> int | None:
    """Tag 0x0112 of the first directory of the TIFF structure at ``start`` (TIFF 6.0)."""
    head = _exact(file, start, 8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None:
        return None
    (directory,) = struct.unpack(f"{order}L", head[4:])
    (count,) = struct.unpack(f"{order}H", _exact(file, start + directory, 2))
    entries = _exact(file, start + directory + 2, 12 * min(count, _MAX_TAGS))
    for tag, kind, values, value in struct.iter_unpack(f"{order}HHLH2x", entries):
        if (tag, kind, values) == (_ORIENTATION_TAG, _SHORT, 1):
            return int(value) if 1 <= value <= 8 else None
    return None


def _jpeg_exif(file: SparseFile) -> int | None:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        lead, marker, length = struct.unpack(">BBH", _exact(file, at, 4))
        if lead != 0xFF or marker in _SOF or marker in (0xD9, 0xDA):
            return None
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker == 0xE1 and length >= 8 and _exact(file, at + 4, 6) == _EXIF:
            return at + 10
        else:
            at += 2 + length
    return None


def _png_exif(file: SparseFile) -> int | None:
    at = 8
    for _ in range(_MAX_SEGMENTS):
        length, kind = struct.unpack(">L4s", _exact(file, at, 8))
        if kind == b"eXIf":
            return _after_exif_mark(file, at + 8)
        if kind in (b"IDAT", b"IEND"):
            return None
        at += 12 + length
    return None


def _webp_exif(file: SparseFile) -> int | None:
    head = _exact(file, 12, 9)
    if head[:4] != b"VP8X" or not head[8] & 0x08:
        return None
    at = 12
    for _ in range(_MAX_SEGMENTS):
        kind, length = struct.unpack("<4sL", _exact(file, at, 8))
        if kind == b"EXIF":
            return _after_exif_mark(file, at + 8)
        at += 8 + length + (length & 1)
    return None


def _after_exif_mark(file: SparseFile, at: int) -> int:
    """Some writers put JPEG's mark before the structure in other formats too."""
    return at + 6 if _exact(file, at, 6) == _EXIF else at
