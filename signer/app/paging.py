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
        last = cursor(items[limit - 1])
        raw = self._check(last) + last.encode()
        return Page(items[:limit], base64.urlsafe_b64encode(raw).decode().rstrip("="))

    def _check(self, cursor: str) -> bytes:
        # No secret: it only tells a token of this list from one of another, or a typing error.
        return hashlib.sha256(f"{self.list_name}\0{cursor}".encode()).digest()[:_CHECK]


def _invalid() -> Fault:
    return Fault(Reason.PAGE_TOKEN_INVALID, "The page token wasn't given out for this list.")
