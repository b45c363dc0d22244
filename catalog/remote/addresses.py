"""Which IP addresses the Catalog may connect to.

Default deny: an IPv6 address must be global unicast and outside every special block, an IPv4
address outside every special block. The blocks are IANA's special-purpose registries (RFC 6890,
https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 twin) and the addresses
where clouds keep their metadata services. ``ipaddress.is_global`` isn't enough: it calls NAT64,
6to4 and IPv4-compatible forms of 169.254.169.254 global.
"""

import ipaddress
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


class Reach(Enum):
    """How far an address may be trusted as a store's."""

    PUBLIC = "public"
    """Anybody's: what a customer's endpoint must resolve to."""

    PRIVATE = "private"
    """The deployment's own network: only for an origin that the deployment lists."""

    FORBIDDEN = "forbidden"
    """Nobody's store: metadata services, link-local, multicast, tunnels, reserved blocks."""


_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "168.63.129.16",  # Azure's platform address
        "100.100.100.200",  # Alibaba Cloud, inside the carrier-grade NAT block
        "fd00:ec2::254",  # AWS over IPv6, inside the unique-local block
        "fd20:ce::254",  # Google Cloud over IPv6, likewise
    )
)

_PRIVATE_V4 = tuple(
    IPv4Network(block)
    for block in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
_FORBIDDEN_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",  # IETF protocol assignments; Oracle keeps metadata at 192.0.0.192
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise, and obsolete
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
# The second half of an ISATAP interface identifier is an IPv4 address (RFC 5214, section 6.1).
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def reach(address: str) -> Reach:
    """Judge one address, given as text; what isn't exactly an address is FORBIDDEN.

    An IPv4-mapped address is the IPv4 address inside it. NAT64 (64:ff9b::/96) is how an IPv6-only
    network reaches public IPv4, so it is as public as what it carries and never private. Every
    other form that carries IPv4 (6to4, Teredo, SIIT, IPv4-compatible, 64:ff9b:1::/48) reaches
    nothing that a store lives on and is refused whatever it carries.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return Reach.FORBIDDEN
    if isinstance(parsed, IPv4Address):
        return _reach_v4(parsed)
    return _reach_v6(parsed)


def _reach_v4(address: IPv4Address) -> Reach:
    if address in _METADATA or any(address in block for block in _FORBIDDEN_V4):
        return Reach.FORBIDDEN
    if any(address in block for block in _PRIVATE_V4):
        return Reach.PRIVATE
    return Reach.PUBLIC


def _reach_v6(address: IPv6Address) -> Reach:
    if address.scope_id is not None or address in _METADATA:
        return Reach.FORBIDDEN
    value = int(address)
    inner = IPv4Address(value & 0xFFFFFFFF)
    if address in _MAPPED:
        return _reach_v4(inner)
    if address in _NAT64:
        return _only_public(inner)
    if any(address in block for block in _PRIVATE_V6):
        return Reach.PRIVATE
    if address not in _GLOBAL_UNICAST or any(address in block for block in _FORBIDDEN_V6):
        return Reach.FORBIDDEN
    if (value >> 32) & 0xFFFFFFFF in _ISATAP:
        return _only_public(inner)
    return Reach.PUBLIC


def _only_public(inner: IPv4Address) -> Reach:
    return Reach.PUBLIC if _reach_v4(inner) is Reach.PUBLIC else Reach.FORBIDDEN
