"""What the Catalog's use cases need from outside, as narrow as they need it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from catalog.domain.model import ImportCounts, InfoState, Operation, SourceState
from catalog.domain.reasons import Reason

SIGNER_DOMAIN = "signer.sealmount.dev"
"""``ErrorInfo.domain`` of the Signer's reasons."""


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


class SourceKind(StrEnum):
    """Where an import takes its keys from."""

    LISTING = "LISTING"
    KEYS = "KEYS"


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """An object as a store lists it: ``size`` in bytes, ``etag`` without quotes.

    ``signable`` is False for a key that no URL can safely be made of
    (:func:`catalog.app.keys.is_signable`). A key with U+0000 can't be kept at all: leave it out.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    signable: bool = True


@dataclass(frozen=True, slots=True)
class NewImport:
    """An import as it is asked for. ``keys`` are sorted byte by byte, without doubles."""

    operation: Operation
    source: SourceKind
    prefix: str
    on_behalf_of: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a look at an object found: ``reason`` is None when it is there.

    ``status`` is the HTTP status, 0 when there was no answer; ``provider_code`` the store's own
    code ("NoSuchKey"), "" when it gave none.
    """

    reason: Reason | None
    status: int = 0
    provider_code: str = ""


class ObjectChecker(Protocol):
    """Opens a signed GET URL, reads one byte at most, and says what became of it.

    Never raises for what the store or the network does, and never keeps the URL.
    """

    async def check(self, url: str, headers: Mapping[str, str]) -> CheckOutcome: ...


Tx = Any
"""One database transaction. The use cases hand it on and never look inside."""


class JobQueue(Protocol):
    """Hands work to the worker, in the transaction that wrote what the work is about."""

    async def enqueue_import(
        self, tx: Tx, project: str, operation_id: str, bucket_uid: str
    ) -> None: ...

    async def enqueue_purge(self, tx: Tx, bucket_uid: str, after: float = 0.0) -> None:
        """Deletes a tombstoned bucket's images and releases its binding once more.

        ``after`` so many seconds it does so for what is then still an intent.
        """
        ...


@dataclass(frozen=True, slots=True)
class PageCounts:
    """What became of one page of entries.

    ``listed`` is ``created + existing + excluded``. ``unsignable`` says how many of them can't be
    signed for, ``to_probe`` how many wait to be looked into. ``gone`` is True when the bucket was
    unmounted meanwhile and nothing was written, ``full`` when new images were left out, since the
    bucket has as many as it may have.
    """

    listed: int = 0
    created: int = 0
    existing: int = 0
    excluded: int = 0
    unsignable: int = 0
    to_probe: int = 0
    gone: bool = False
    full: bool = False

    def progress(self) -> ImportCounts:
        return ImportCounts(
            listed=self.listed,
            created=self.created,
            existing=self.existing,
            excluded=self.excluded,
            unsignable=self.unsignable,
        )


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe of one image found.

    ``source_state`` says what became of the object. ``version``, ``etag``, ``size`` and
    ``last_modified`` are those of the answer that was read, and ``version_epoch`` the epoch of the
    location that gave it; None or "" where the answer had none. ``seen_etag`` is the etag that
    :class:`ImageToProbe` carried: when the image has another one by now, the result is dropped.
    """

    key: str
    source_state: SourceState
    info_state: InfoState
    reason: str = ""
    media_type: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 0
    version: str = ""
    version_epoch: int = 0
    etag: str = ""
    size: int | None = None
    last_modified: datetime | None = None
    seen_etag: str = ""


@dataclass(frozen=True, slots=True)
class ImageToProbe:
    key: str
    image_id: str
    etag: str
    size: int
    version_epoch: int
