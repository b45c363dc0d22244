"""Reads a store's listing ahead of the database, a few pages at a time.

While one batch is written the next one is fetched, so that store and database work at once; never
more than that, so that memory stays flat however long the listing is.

Between steps a listing goes on after its last key (StartAfter), which any worker can do. A store
that doesn't list in the order of the keys' bytes (S3 promises it, its imitations don't always)
can't be asked that, so there the store's own token is kept.
"""

import asyncio
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from catalog.app.keys import MAX_KEY_BYTES, is_signable, is_storable
from catalog.domain.ports import ListedEntry, Signer
from catalog.jobs.faults import JobStopped, from_store
from catalog.jobs.retry import RetryPolicy, StoreSlow, asking_signer, asking_store
from catalog.remote.errors import StoreError
from catalog.remote.guarded import StoreHttp
from catalog.remote.listing import LISTING_MAX_BYTES, ListingCursor, ListingPage
from catalog.remote.listing_s3 import parse_page

PAGE_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Position:
    """Where a listing goes on. ``token`` is used in place of ``after`` once it isn't ``ordered``.

    ``epoch`` is the location's, 0 before the first page: a listing belongs to one location. The
    last three are the ListingCursor's: a store that goes round in a circle is noticed even when
    each round takes longer than a worker lives. ``tries`` in vain were made here already.
    """

    after: str = ""
    token: str = ""
    ordered: bool = True
    epoch: int = 0
    pages: int = 0
    empty_pages: int = 0
    mark: str = ""
    tries: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"token": "" if self.ordered else self.token}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data)


@dataclass(slots=True)
class Batch:
    """What some pages held, and where to go on; ``next`` is None at the end of the listing.

    ``moved`` says that the binding points to another location now: nothing of this batch counts,
    and the listing starts again. ``stopped`` says why the pages after these can't be had, ``rest``
    for how long (seconds) they had better not be asked for.
    """

    entries: list[ListedEntry] = field(default_factory=list)
    epoch: int = 0
    next: Position | None = None
    moved: bool = False
    stopped: JobStopped | None = None
    rest: float = 0.0


@dataclass(frozen=True, slots=True)
class ListingOf:
    """What to list, and how the pages are asked for."""

    binding: str
    prefix: str
    on_behalf_of: str
    signer: Signer
    http: StoreHttp
    retry: RetryPolicy
    pages_per_batch: int = 5
    seconds_per_batch: float = 2.0
    page_seconds: float = 30.0


class _MovedError(Exception):
    """The URL was signed for another location than the pages before."""


class ListingReader:
    """Batches, one after the other. Close it, or its reading ahead goes on."""

    def __init__(self, what: ListingOf) -> None:
        self._what = what
        self._token = ""
        self._at: Position | None = None
        self._ahead: asyncio.Task[Batch] | None = None

    async def take(self, position: Position) -> Batch:
        """The batch at ``position``: read ahead already, or read now if that is another place."""
        if self._at is None or self._at.to_json() != position.to_json():
            await self.close()
            self._token = "" if position.ordered else position.token
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._read(position))
        batch = await asyncio.shield(self._ahead)
        self._ahead = None
        self._at = batch.next
        if batch.next is not None and batch.stopped is None and not batch.rest:
            self._ahead = asyncio.create_task(self._read(batch.next))
        return batch

    async def close(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()  # looked at, so that asyncio doesn't print it

    async def _read(self, position: Position) -> Batch:
        batch = Batch()
        until = time.monotonic() + self._what.seconds_per_batch
        for _ in range(self._what.pages_per_batch):
            try:
                position = await self._page(batch, position)
            except _MovedError:
                return Batch(moved=True)
            except JobStopped as stopped:
                batch.stopped = stopped
                batch.next = position
                return batch
            except StoreSlow as slow:
                batch.rest = self._what.retry.rest(slow.tries)
                batch.next = replace(position, tries=slow.tries)
                return batch
            if self._token == "":
                return batch
            if time.monotonic() > until:
                break
        batch.next = position
        return batch

    async def _page(self, batch: Batch, position: Position) -> Position:
        """Read one page into the batch; where to go on after it. Sets the token, "" at the end."""
        page, location_prefix, epoch = await asking_store(
            self._what.retry, lambda: self._ask(position), position.tries
        )
        keys = [entry.key for entry in page.entries]
        ordered = position.ordered
        if keys and ordered:
            follows = not position.after or keys[0] > location_prefix + position.after
            ordered = follows and keys == sorted(keys)
        batch.entries.extend(_relative(page, location_prefix))
        batch.epoch = epoch
        cursor = ListingCursor(
            pages=position.pages, empty_pages=position.empty_pages, mark=position.mark
        )
        try:
            self._token = cursor.advance(page) or ""
        except StoreError as error:
            broken = error
        else:
            after = keys[-1][len(location_prefix) :] if keys else position.after
            seen = cursor.pages, cursor.empty_pages, cursor.mark
            return Position(after, self._token, ordered, epoch, *seen)
        raise from_store(broken)

    async def _ask(self, position: Position) -> tuple[ListingPage, str, int]:
        what = self._what
        after = "" if self._token else position.after
        terms, url, location_prefix = await asking_signer(
            what.retry,
            lambda: what.signer.listing_url(
                what.binding, what.prefix, after, self._token, what.on_behalf_of
            ),
        )
        if position.epoch not in (0, terms.location_epoch):
            raise _MovedError
        answer = await what.http.fetch(
            "GET",
            url,
            terms.headers,
            max_bytes=LISTING_MAX_BYTES,
            seconds=what.page_seconds,
            identity_only=True,
        )
        page = parse_page(answer.body, prefix=location_prefix + what.prefix, max_keys=PAGE_KEYS)
        return page, location_prefix, terms.location_epoch


def _relative(page: ListingPage, location_prefix: str) -> list[ListedEntry]:
    """The page's objects under their keys here. Folder markers, which end in "/", aren't images."""
    cut = len(location_prefix)
    plain = _all_plain([entry.key for entry in page.entries])
    return [
        ListedEntry(
            key[cut:], size, etag, modified, plain or is_signable(key[cut:], location_prefix)
        )
        for key, size, etag, modified, _ in page.entries
        if not key.endswith("/") and (plain or is_storable(key))
    ]


def _all_plain(keys: list[str]) -> bool:
    """Whether one look at all keys together shows that each is signable: it nearly always does."""
    together = f"/{'/'.join(keys)}/"
    return (
        together.isascii()
        and together.isprintable()
        and "/./" not in together
        and "/../" not in together
        and max(map(len, keys), default=0) <= MAX_KEY_BYTES
    )
