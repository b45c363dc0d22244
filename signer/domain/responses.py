"""Which response headers a store may be told to answer with.

A URL on a customer's domain that answers with ``text/html`` or SVG and shows it inline would run
whatever script someone put into the bucket. So types come from a list, and everything but raster
images is downloaded. ``<img>`` and ``fetch`` ignore the disposition.
"""

import re
from enum import StrEnum

from signer.domain.signing import Method, ResponseOverrides

RASTER_TYPES = frozenset(
    f"image/{kind}" for kind in ("apng", "avif", "bmp", "gif", "jpeg", "png", "tiff", "webp")
)
ALLOWED_TYPES = RASTER_TYPES | {
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "image/svg+xml",
    "text/csv",
    "text/plain",
}
_DIRECTIVE = (
    r"(?:private|public|no-store|no-cache|no-transform|must-revalidate|immutable"
    r"|max-age=[0-9]{1,9})"
)
_CACHE_CONTROL = re.compile(rf"{_DIRECTIVE}(?:, ?{_DIRECTIVE}){{0,7}}")


class Disposition(StrEnum):
    """DEFAULT is inline for named raster images and attachment for all else."""

    DEFAULT = "DEFAULT"
    INLINE = "INLINE"
    ATTACHMENT = "ATTACHMENT"


def is_cache_control(value: str) -> bool:
    return value == "" or _CACHE_CONTROL.fullmatch(value) is not None


def is_content_type(value: str) -> bool:
    return value == "" or value in ALLOWED_TYPES


def may_show_inline(content_type: str) -> bool:
    return content_type in RASTER_TYPES


def overrides(
    method: Method,
    content_type: str,
    disposition: Disposition,
    cache_control: str,
) -> ResponseOverrides:
    """The headers to sign, from values that were found allowed before."""
    if method not in (Method.GET, Method.HEAD):
        return ResponseOverrides()
    return ResponseOverrides(content_type, _disposition(content_type, disposition), cache_control)


def _disposition(content_type: str, wanted: Disposition) -> str:
    if wanted is Disposition.ATTACHMENT:
        return "attachment"
    if may_show_inline(content_type):
        return "inline"
    return "attachment"
