"""Amazon's ListObjectsV2 answer, read as if the store were hostile.

Source: Amazon S3 API reference, ListObjectsV2. The request must ask for ``encoding-type=url``,
since XML 1.0 has no way to write most control characters; a store that doesn't echo the
``EncodingType`` is taken to have sent its keys as they are.

What a parser is usually attacked with is refused on the bytes, before any tree is built: other
encodings, every ``<!`` (DOCTYPE, entities, CDATA, comments), and more tags or attributes than a
page of that many keys can have.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from catalog.remote.listing import (
    LISTING_MAX_BYTES,
    MAX_KEY_BYTES,
    MAX_TOKEN_CHARS,
    ListedObject,
    ListingPage,
    bad_page,
)

_MAX_SIZE = 2**63 - 1
_MAX_TEXT = 256
_MAX_DEPTH = 5  # ListBucketResult, Contents, Owner, ID is the deepest that Amazon goes
_MARKUP_PER_KEY = 64
_MARKUP_PER_PAGE = 256
_DECLARATION = re.compile(r"""<\?xml\s[^>]*?encoding\s*=\s*["']([^"']*)["']""")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_page(body: bytes, *, prefix: str, max_keys: int) -> ListingPage:
    """Read one page of the listing of ``prefix`` (full, location's prefix included).

    ``max_keys`` is what was asked for. Raises StoreError (BAD_RESPONSE) for a page that isn't
    well-formed, has more than ``max_keys`` entries, names a key outside the prefix or a key, size
    or date that can't be, or is truncated without a token.
    """
    try:
        root = _tree(body, max_keys)
        page = _page(root, prefix)
    except (ET.ParseError, UnicodeError, ValueError, RecursionError):
        page = None
    # Outside the handler: a parser's message quotes what it read.
    if page is None or len(page.entries) + len(page.common_prefixes) > max_keys:
        raise bad_page()
    return page


def _tree(body: bytes, max_keys: int) -> ET.Element:
    markup = _MARKUP_PER_PAGE + _MARKUP_PER_KEY * max_keys
    if len(body) > LISTING_MAX_BYTES or b"<!" in body or b"\0" in body:
        raise bad_page()
    if body.count(b"<") > markup or body.count(b"=") > markup:
        raise bad_page()
    text = body.decode("utf-8-sig")
    declared = _DECLARATION.match(text.lstrip()[:_MAX_TEXT])
    if declared is not None and declared[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise bad_page()
    # Safe by what was refused above: no document type, so no entities to expand or to fetch.
    return ET.fromstring(text.lstrip())  # noqa: S314


def _page(root: ET.Element, prefix: str) -> ListingPage:
    space = root.tag[: root.tag.rfind("}") + 1]
    if root.tag != f"{space}ListBucketResult" or _too_deep(root, _MAX_DEPTH):
        raise bad_page()
    encoded = _encoded(root, space)
    reader = _Reader(space, prefix, encoded)
    truncated = _only(root, f"{space}IsTruncated") or ""
    if truncated not in ("true", "false", ""):
        raise bad_page()
    token = _only(root, f"{space}NextContinuationToken") if truncated == "true" else None
    if truncated == "true" and not (token and len(token) <= MAX_TOKEN_CHARS):
        raise bad_page()
    return ListingPage(
        entries=tuple(reader.entry(element) for element in root.iterfind(f"{space}Contents")),
        truncated=truncated == "true",
        next_token=token,
        common_prefixes=tuple(reader.common_prefixes(root)),
    )


def _encoded(root: ET.Element, space: str) -> bool:
    encoding = _only(root, f"{space}EncodingType") or ""
    if encoding not in ("url", ""):
        raise bad_page()
    return encoding == "url"


def _only(root: ET.Element, tag: str) -> str | None:
    """The text of an element that may stand there once; None without one."""
    found = root.findall(tag)
    if len(found) > 1:
        raise bad_page()
    return (found[0].text or "").strip() if found else None


def _too_deep(root: ET.Element, levels: int) -> bool:
    level = [root]
    for _ in range(levels):
        level = [child for parent in level if len(parent) for child in parent]
        if not level:
            return False
    return True


class _Reader:
    """Reads the elements of one page: the namespace and the tags are worked out once."""

    def __init__(self, space: str, prefix: str, encoded: bool) -> None:
        self._prefix = prefix
        self._encoded = encoded
        self._key = f"{space}Key"
        self._size = f"{space}Size"
        self._etag = f"{space}ETag"
        self._modified = f"{space}LastModified"
        self._class = f"{space}StorageClass"
        self._prefixes = f"{space}CommonPrefixes"
        self._inner_prefix = f"{space}Prefix"

    def entry(self, element: ET.Element) -> ListedObject:
        fields = {field.tag: field.text for field in element}
        # ChecksumAlgorithm may repeat; for a second Key or Size no reading would be right.
        if len(fields) != len(element):
            self._refuse_repeats(element)
        size = fields.get(self._size) or ""
        if not (size.isascii() and size.isdigit()) or len(size) > 19 or int(size) > _MAX_SIZE:
            raise bad_page()
        etag = (fields.get(self._etag) or "").strip('"')
        storage_class = fields.get(self._class) or ""
        if len(etag) > _MAX_TEXT or len(storage_class) > _MAX_TEXT:
            raise bad_page()
        return ListedObject(
            self._decoded(fields.get(self._key)),
            int(size),
            etag,
            _moment(fields.get(self._modified)),
            storage_class,
        )

    def common_prefixes(self, root: ET.Element) -> Iterator[str]:
        for element in root.iterfind(self._prefixes):
            for inner in element.iterfind(self._inner_prefix):
                yield self._decoded(inner.text)

    def _refuse_repeats(self, element: ET.Element) -> None:
        for tag in (self._key, self._size, self._etag, self._modified, self._class):
            if len(element.findall(tag)) > 1:
                raise bad_page()

    def _decoded(self, text: str | None) -> str:
        key = text or ""
        if self._encoded:
            key = key.replace("+", " ")
            if "%" in key:
                if _BROKEN_ESCAPE.search(key):
                    raise bad_page()
                key = unquote(key, errors="strict")
        too_long = len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES
        if not key or too_long or not key.startswith(self._prefix):
            raise bad_page()
        return key


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise bad_page()
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
