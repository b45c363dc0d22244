"""What the Catalog's use cases need from outside, as narrow as they need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How a URL to look at an image is wanted. Enum values by their short names ("PUBLIC")."""

    ttl: timedelta | None = None
    audience: str = ""
    disposition: str = ""
    response_cache_control: str = ""


@dataclass(frozen=True, slots=True)
class ObjectToSign:
    key: str
    version: str = ""
    version_epoch: int = 0
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the URLs of one answer share (sealmount.type.v1.UrlTerms)."""

    method: str
    headers: Mapping[str, str]
    not_after: datetime
    refresh_after: datetime
    revision: str
    location_epoch: int


@dataclass(frozen=True, slots=True)
class Url:
    """A signed URL or, in its place, why there is none. Never printed and never stored."""

    url: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""

    def __repr__(self) -> str:
        return f"Url(reason={self.reason!r})"


@dataclass(frozen=True, slots=True)
class BindingInfo:
    """``binding_class`` is "CUSTOMER" or "MANAGED", permissions are short names ("READ")."""

    name: str
    binding_class: str
    permissions: frozenset[str]
    location_epoch: int


class Signer(Protocol):
    """The Signer, as the Catalog sees it. Every method raises ``serving.faults.Fault``.

    The Signer's own refusals come through as ``ForeignFault``, with the Signer's reason and domain;
    one that can't be reached raises Reason.SIGNER_UNAVAILABLE.
    """

    async def binding(self, name: str) -> BindingInfo: ...

    async def hold(self, binding: str, holder: str) -> BindingInfo: ...

    async def release(self, binding: str, holder: str) -> None: ...

    async def object_urls(
        self,
        binding: str,
        objects: Sequence[ObjectToSign],
        options: ViewOptions,
        on_behalf_of: str,
    ) -> tuple[Terms, list[Url]]:
        """Up to 1,000 GET URLs in the order asked for."""
        ...

    async def listing_url(
        self,
        binding: str,
        prefix: str,
        start_after: str,
        continuation_token: str,
        on_behalf_of: str,
    ) -> tuple[Terms, str, str]:
        """Terms, URL of one page of 1,000, and the location's own prefix to take off its keys."""
        ...
