"""What a page of a listing is, whichever dialect it came in, and how pages are followed.

cursor = ListingCursor()
while True:
    page = parse_page(await fetch(token), prefix=prefix, max_keys=1000)
    token = cursor.advance(page)
    if token is None:
        break
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from catalog.remote.errors import StoreError, StoreErrorKind

MAX_KEY_BYTES = 1024
MAX_TOKEN_CHARS = 8192
LISTING_MAX_BYTES = 4 * 1024 * 1024
"""A page of 1,000 keys of 1,024 bytes, each byte percent-encoded, with room for the rest."""


class ListedObject(NamedTuple):
    """One object of a page. A named tuple: a million of them are made in an import.

    ``key`` is the full key, prefix included and decoded; ``size`` is in bytes; ``etag`` has no
    quotes and is ``""`` when the store gives none; ``last_modified`` is in UTC; ``storage_class``
    is ``""`` when the store gives none.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None
    storage_class: str


@dataclass(frozen=True, slots=True)
class ListingPage:
    """One page, in the store's order.

    ``truncated`` says that more follows, and then, and only then, ``next_token`` is the token to
    ask for it with. ``common_prefixes`` is empty unless a delimiter was asked for.
    """

    entries: tuple[ListedObject, ...]
    truncated: bool
    next_token: str | None
    common_prefixes: tuple[str, ...] = ()


def bad_page() -> StoreError:
    """The one answer to a page that isn't what the protocol promises."""
    return StoreError(StoreErrorKind.BAD_RESPONSE)


@dataclass(slots=True)
class ListingCursor:
    """Follows the pages of one listing and stops one that never ends.

    A store that hands out a token again would be listed for ever. The cursor notices by Brent's
    cycle detection: it keeps the digest of one earlier token, replaces it at every power of two
    pages, and compares each new one with it. So its state is three small values however long the
    listing is, fit to be stored between two steps of a job, and holds no token. A store that
    invents a new token each time is stopped by ``max_pages``, or by ``max_empty_pages`` in a row.
    """

    max_pages: int = 10_000_000
    max_empty_pages: int = 1_000
    pages: int = 0
    empty_pages: int = 0
    mark: str = field(default="", repr=False)

    def advance(self, page: ListingPage) -> str | None:
        """Take a page in; the token of the next one, None at the end.

        Raises StoreError (BAD_RESPONSE) when the listing goes round in a circle or on too long.
        """
        self.pages += 1
        if not page.truncated:
            return None
        self.empty_pages = 0 if page.entries or page.common_prefixes else self.empty_pages + 1
        token = page.next_token
        if not token or self.pages >= self.max_pages or self.empty_pages > self.max_empty_pages:
            raise bad_page()
        digest = hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
        if digest == self.mark:
            raise bad_page()
        if self.pages & (self.pages - 1) == 0:
            self.mark = digest
        return token
