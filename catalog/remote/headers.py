"""Which headers go out to a store, and which of its own go on from here."""

import re
from collections.abc import Mapping

from catalog.remote.targets import RefusedUrl

USER_AGENT = "sealmount"

_SENT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-length",
        "content-md5",
        "content-type",
        "if-match",
        "if-none-match",
    }
)
_SENT_PREFIXES = ("x-amz-", "x-goog-", "x-ms-")
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_VALUE = re.compile(r"[ -~]{0,4096}")

_KEPT = frozenset(
    {
        "content-encoding",
        "content-length",
        "content-md5",
        "content-range",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "retry-after",
        "x-amz-bucket-region",
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
        "x-amz-storage-class",
        "x-amz-version-id",
        "x-goog-generation",
        "x-goog-hash",
        "x-goog-stored-content-encoding",
        "x-goog-stored-content-length",
        "x-ms-version-id",
    }
)


def request_headers(given: Mapping[str, str], byte_range: tuple[int, int] | None) -> dict[str, str]:
    """All the headers of a request but Host; nothing is added behind the caller's back.

    ``given`` are those that belong to the signed URL. Only the stores' own headers and those of
    an upload or a condition pass: never Host, Authorization, Cookie or what steers the connection.
    ``byte_range`` is first and last byte, both inclusive. Raises RefusedUrl.
    """
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    for name, value in given.items():
        lowered = name.lower()
        known = lowered in _SENT or lowered.startswith(_SENT_PREFIXES)
        if not known or not _NAME.fullmatch(lowered) or not _VALUE.fullmatch(value):
            raise RefusedUrl
        headers[name] = value
    if byte_range is not None:
        first, last = byte_range
        if not 0 <= first <= last:
            raise RefusedUrl
        headers["Range"] = f"bytes={first}-{last}"
    return headers


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The allow-listed headers of an answer, names lowercased, repeats joined (RFC 9110, 5.2).

    Values with anything but visible ASCII and spaces are left out.
    """
    kept: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in _KEPT and value.isascii() and value.isprintable():
            kept[lowered] = f"{kept[lowered]}, {value}" if lowered in kept else value
    return kept
