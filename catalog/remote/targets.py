"""Which origins and URLs the Catalog may ask for, judged on their text alone.

A URL is taken apart by one strict pattern instead of a forgiving parser, so that no two readers
can disagree on its host: what isn't in the one canonical spelling is refused, never repaired.
"""

import ipaddress
import re
from dataclasses import dataclass

MAX_URL_CHARS = 16_384
"""A 1,024-byte key, percent-encoded, beside a session token and a continuation token."""

_URL = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(?::(?P<port>[0-9]{1,5}))?)"
    r"(?P<tail>/.*)?",
    re.DOTALL,
)
# Visible ASCII without a fragment, a backslash or what a URL must never hold bare (RFC 3986).
_TAIL = re.compile(r"""/[!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*""")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class RefusedUrl(Exception):
    """A URL or an origin that no request may be sent to. It doesn't carry the text."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes.

    ``origin`` is ``scheme://host[:port]`` in its canonical spelling, ``host`` a name or an IP
    literal without brackets, ``tail`` the path and query exactly as they were given. ``listed``
    says that the deployment named this origin, so that http and private addresses are allowed.
    """

    origin: str
    scheme: str
    host: str
    port: int
    tail: str
    listed: bool


@dataclass(frozen=True, slots=True)
class StorePolicy:
    """What the deployment allows in spite of the rules.

    ``allowed_origins`` are exact origins such as ``http://127.0.0.1:9000``. They may be plain
    http, name an IP address, use any port and resolve to private addresses; nothing else is
    relaxed. Raises ValueError for one that isn't a canonical origin.
    """

    allowed_origins: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for origin in self.allowed_origins:
            parts = _URL.fullmatch(origin)
            if parts is None or parts["tail"] or not _is_canonical(parts):
                raise ValueError("An allowed origin must be spelled scheme://host[:port].")
            if not (_is_dns_name(parts["host"], min_labels=1) or _is_literal(parts["host"])):
                raise ValueError("An allowed origin must name a host or an IP address.")


def parse_origin(origin: str, policy: StorePolicy) -> Target:
    """Judge ``https://host[:port]``; raises RefusedUrl for anything else, a path included."""
    target = _parse(origin, policy)
    if target.tail:
        raise RefusedUrl
    return target


def parse_url(url: str, policy: StorePolicy) -> Target:
    """Judge a signed URL, at most MAX_URL_CHARS long; raises RefusedUrl.

    The path must be there (``/`` at least): HTTP clients would put one in, and what travels has
    to be what was signed.
    """
    target = _parse(url, policy)
    if not _TAIL.fullmatch(target.tail):
        raise RefusedUrl
    return target


def _parse(text: str, policy: StorePolicy) -> Target:
    parts = _URL.fullmatch(text) if len(text) <= MAX_URL_CHARS else None
    if parts is None or not _is_canonical(parts):
        raise RefusedUrl
    origin, scheme, host = parts["origin"], parts["scheme"], parts["host"]
    port = int(parts["port"] or _DEFAULT_PORTS[scheme])
    listed = origin in policy.allowed_origins
    if not listed and not _is_public_store(scheme, host, port):
        raise RefusedUrl
    return Target(origin, scheme, host.strip("[]"), port, parts["tail"] or "", listed)


def _is_canonical(parts: re.Match[str]) -> bool:
    port = parts["port"]
    if port is None:
        return True
    # A default port that is written out wouldn't be sent in the Host header that was signed.
    return port[0] != "0" and int(port) <= 65535 and int(port) != _DEFAULT_PORTS[parts["scheme"]]


def _is_public_store(scheme: str, host: str, port: int) -> bool:
    return scheme == "https" and (port == 443 or port >= 1024) and _is_dns_name(host, min_labels=2)


def _is_dns_name(host: str, *, min_labels: int) -> bool:
    labels = host.split(".")
    if len(host) > 253 or len(labels) < min_labels:
        return False
    if not all(_LABEL.fullmatch(label) and label != "xn--" for label in labels):
        return False
    # Resolvers read a name whose last label starts like a number as an address: 2130706433, 0x7f.1
    return labels[-1][0].isalpha()


def _is_literal(host: str) -> bool:
    try:
        parsed = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (parsed.version == 6) == host.startswith("[") and host.strip("[]") == str(parsed)
