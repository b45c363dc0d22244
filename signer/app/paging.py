"""Keyset pages (AIP-158) with opaque tokens."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.faults import Fault, FieldViolation
from signer.domain.reasons import Reason

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
# A scope of 64 rules, or a thousand holders, has 150 KB: 1,000 of them fit no gRPC message.
MAX_PAGE_BYTES = 8 * 1024 * 1024
_MAX_DIGITS = 9
_CHECK = 8
# Ids and revision numbers. The check isn't secret, so a cursor may be anybody's invention.
_CURSOR = re.compile(r"[a-z0-9-]{1,63}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``next_token`` is "" on the last page."""

    items: Sequence[T]
    next_token: str


@dataclass(frozen=True, slots=True)
class PageRequest:
    """``list_name`` names the list, so that a token of one list is no token of another."""

    list_name: str
    size: int
    token: str

    def limit(self) -> int:
        if self.size < 0:
            violation = FieldViolation("page_size", "Give 0 for the default, or a size.")
            raise Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=[violation])
        return min(self.size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)

    def cursor(self) -> str:
        """What the last page ended with, "" at the beginning. PAGE_TOKEN_INVALID."""
        if not self.token:
            return ""
        try:
            raw = base64.urlsafe_b64decode(self.token.encode() + b"=" * (-len(self.token) % 4))
            check, cursor = raw[:_CHECK], raw[_CHECK:].decode()
        except (binascii.Error, UnicodeError, ValueError):
            raise _invalid() from None
        if check != self._check(cursor) or not _CURSOR.fullmatch(cursor):
            raise _invalid()
        return cursor

    def number(self) -> int | None:
        """The cursor as a number, None at the beginning. PAGE_TOKEN_INVALID."""
        cursor = self.cursor()
        if cursor and not (cursor.isdigit() and len(cursor) <= _MAX_DIGITS):
            raise _invalid()
        return int(cursor) if cursor else None

    def page(self, items: Sequence[T], cursor: Callable[[T], str]) -> Page[T]:
        """Cuts ``items``, read with one more than :meth:`limit`, to a page."""
        limit = self.limit()
        if len(items) <= limit:
            return Page(items, "")
        return self._ending(items[:limit], cursor)

    def fitting(self, page: Page[T], sizes: Sequence[int], cursor: Callable[[T], str]) -> Page[T]:
        """As many of the page's items as have :data:`MAX_PAGE_BYTES` together, but one at least.

        ``sizes`` are those of its items, in bytes of a response.
        """
        total = 0
        for index, size in enumerate(sizes):
            total += size
            if total > MAX_PAGE_BYTES and index:
                return self._ending(page.items[:index], cursor)
        return page

    def _ending(self, items: Sequence[T], cursor: Callable[[T], str]) -> Page[T]:
        last = cursor(items[-1])
        raw = self._check(last) + last.encode()
        return Page(items, base64.urlsafe_b64encode(raw).decode().rstrip("="))

    def _check(self, cursor: str) -> bytes:
        # No secret: it only tells a token of this list from one of another, or a typing error.
        return hashlib.sha256(f"{self.list_name}\0{cursor}".encode()).digest()[:_CHECK]


def _invalid() -> Fault:
    return Fault(Reason.PAGE_TOKEN_INVALID, "The page token wasn't given out for this list.")
