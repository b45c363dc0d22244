"""Where a binding's objects live, and which origins its URLs may name."""

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
MAX_KEY_BYTES = 1024
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# One pass decides for nearly every key; which defect it is matters only when there is one.
_UNSIGNABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]|(?:^|/)[.]{1,2}(?:/|\\Z)")


class Provider(StrEnum):
    """The store's dialect, not its vendor: MinIO, R2 and Ceph are S3."""

    S3 = "s3"


@dataclass(frozen=True, slots=True)
class Location:
    """An S3 or S3-compatible bucket, or a part of one.

    ``endpoint`` is ``""`` for AWS itself, else an origin (``https://minio.example.com:9000``) that
    the Catalog reaches; ``public_endpoint`` is the origin that browsers reach, ``""`` when it is
    the same one. ``prefix`` is ``""`` or ends in ``/``; every key in the API is relative to it.
    """

    provider: Provider
    bucket: str
    region: str
    endpoint: str = ""
    public_endpoint: str = ""
    path_style: bool = False
    requester_pays: bool = False
    prefix: str = ""

    def origins(self) -> tuple[str, ...]:
        """The origins that a scope must allow: internal first, then public if it differs."""
        internal = self.endpoint or aws_origin(self.region)
        if self.public_endpoint and self.public_endpoint != internal:
            return internal, self.public_endpoint
        return (internal,)


def aws_origin(region: str) -> str:
    """The origin that stands in a scope for AWS S3: one per partition, not per region.

    A bucket name is unique within a partition, so the region guards nothing and a wrong one can
    be mended by a rotation without storing the secret anew.
    """
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"https://s3.amazonaws.com{suffix}"


def is_bucket_name(name: str) -> bool:
    """Amazon's general-purpose bucket rules: no ARN, no access point, nothing like an address."""
    if not _BUCKET.fullmatch(name) or ".." in name or ".-" in name or "-." in name:
        return False
    return not _is_ip(name)


def is_region(name: str) -> bool:
    return _REGION.fullmatch(name) is not None


def is_origin(origin: str, insecure_origins: frozenset[str] = frozenset()) -> bool:
    """True for ``https://host[:port]`` in its one canonical spelling.

    Anything else (plain http, an IP literal, a port below 1024 other than 443, user info, a path)
    is an origin only when the deployment lists it, literally, in ``insecure_origins``.
    """
    if origin in insecure_origins:
        return True
    if not origin.isascii() or not origin.startswith("https://"):
        return False
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if port is not None and (port == 443 or (port < 1024) or port > 65535):
        return False
    canonical = f"https://{host}" + (f":{port}" if port is not None else "")
    return origin == canonical and _is_public_host(host)


def _is_public_host(host: str) -> bool:
    labels = host.split(".")
    if len(host) > 253 or len(labels) < 2 or _is_ip(host):
        return False
    # A last label that begins like a number (7, 0x7f) makes resolvers read the name as an address.
    return all(_LABEL.fullmatch(label) for label in labels) and labels[-1][0].isalpha()


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def is_prefix(prefix: str) -> bool:
    """``""``, or a signable key that ends in ``/``."""
    return prefix == "" or (prefix.endswith("/") and key_defect(prefix) is None)


def key_defect(key: str) -> str | None:
    """Why this full key (prefix and all) can't be signed, or None when it can.

    ``.`` and ``..`` segments are rewritten by HTTP clients on their way, so that the signed path
    isn't the one that travels; control characters can make two strings-to-sign equal. Nothing is
    ever normalised or trimmed to make a key fit.
    """
    if not key:
        return "The key is empty."
    # No character takes more than four bytes, so most keys needn't be encoded to be measured.
    if len(key) * 4 > MAX_KEY_BYTES < len(key.encode("utf-8", "surrogatepass")):
        return "The key is longer than 1,024 bytes."
    if _UNSIGNABLE.search(key) is None:
        return None
    if _CONTROL.search(key):
        return "The key has a control character."
    if _SURROGATE.search(key):
        return "The key isn't valid Unicode."
    return "The key has a '.' or '..' segment."
