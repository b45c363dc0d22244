"""What is asked of a signer and what it gives back; the port that each cloud implements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from signer.domain.location import Location


class Method(StrEnum):
    """The HTTP method that a URL is good for."""

    GET = "GET"
    HEAD = "HEAD"
    PUT = "PUT"
    DELETE = "DELETE"


class Audience(StrEnum):
    """Who will open the URL: PUBLIC goes through the public endpoint, INTERNAL never does."""

    PUBLIC = "PUBLIC"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class ResponseOverrides:
    """Headers that the store is told to answer with; each ``""`` when it isn't overridden.

    Already vetted by the domain (no CR or LF, an allowed content type).
    """

    content_type: str = ""
    content_disposition: str = ""
    cache_control: str = ""


@dataclass(frozen=True, slots=True)
class Instant:
    """When a URL is signed and for how long: ``signed_at`` is whole seconds in UTC.

    ``expires`` is in seconds, at least 1 and at most 604,800 (SigV4's own limit).
    """

    signed_at: datetime
    expires: int


@dataclass(frozen=True, slots=True)
class ObjectIntent:
    """What every URL of one request shares: a typed intent, never caller-given bytes to sign."""

    method: Method
    audience: Audience
    instant: Instant
    overrides: ResponseOverrides = field(default_factory=ResponseOverrides)


@dataclass(frozen=True, slots=True)
class ListIntent:
    """One page of a listing. ``prefix`` and ``start_after`` are full keys, not relative ones."""

    audience: Audience
    instant: Instant
    prefix: str = ""
    delimiter: str = ""
    start_after: str = ""
    continuation_token: str = ""
    page_size: int = 1000


class ObjectUrlMaker(Protocol):
    """Makes URLs for one intent: ``key`` is the full key, ``version`` ``""`` or a version id."""

    def __call__(self, key: str, version: str = "", /) -> str: ...


class UrlSigner(Protocol):
    """A credential joined to a location and ready to sign: the hot path stands on this.

    Holds derived keys at most, never the secret itself. Does no input or output and never blocks.
    ``days`` are the UTC days it holds keys for.
    """

    @property
    def days(self) -> frozenset[date]: ...

    def objects(self, intent: ObjectIntent) -> ObjectUrlMaker:
        """The maker for one intent; everything that its URLs share is computed once, here."""
        ...

    def listing(self, intent: ListIntent) -> str:
        """The URL of one listing page."""
        ...

    def required_headers(self, method: Method) -> Mapping[str, str]:
        """Headers that were signed and so must be sent, such as ``If-None-Match: *`` on PUT."""
        ...


class Material(Protocol):
    """Opened key material, for the length of one ``with`` block; wiped when the block ends.

    ``field`` gives a view into the wiped buffer: derive from it, never keep it. A field that
    wasn't stored is empty.
    """

    def field(self, name: str) -> memoryview: ...

    def __enter__(self) -> "Material": ...

    def __exit__(self, *exc: object) -> None: ...


SignerFactory = Callable[[Location, Material, Sequence[date]], UrlSigner]
"""What a provider registers: derive keys for these UTC days from the material, and no others.

Opening material may mean a call to a key-management service, so it happens here, off the hot
path; a signer asked to sign on another day raises ``LookupError`` and is compiled anew.
"""
