"""Keyset pages (AIP-158) with opaque tokens that belong to one list and its parameters."""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from catalog.app.refusals import invalid_field
from catalog.domain.reasons import Reason
from serving.faults import Fault

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
_CHECK_BYTES = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """``parameters`` are the list's name and everything else that decides what is in it."""

    parameters: tuple[str, ...]
    size: int
    token: str

    @property
    def limit(self) -> int:
        """INVALID_FIELD for a negative size."""
        if self.size < 0:
            raise invalid_field("page_size", "Give 0 for the default, or a size.")
        return min(self.size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)

    def cursor(self) -> str:
        """What the page before ended with, "" at the beginning. PAGE_TOKEN_INVALID."""
        if not self.token:
            return ""
        try:
            padding = b"=" * (-len(self.token) % 4)
            raw = base64.b64decode(self.token.encode("ascii") + padding, b"-_", validate=True)
            cursor = raw[_CHECK_BYTES:].decode()
        except (binascii.Error, ValueError):
            raise _invalid() from None
        if not cursor or "\0" in cursor or self.after(cursor) != self.token:
            raise _invalid()
        return cursor

    def after(self, cursor: str) -> str:
        """The token of the page that begins after ``cursor``."""
        # No secret: it tells a token of this list from one of another, or from a typing error.
        text = json.dumps([*self.parameters, cursor]).encode()
        raw = hashlib.sha256(text).digest()[:_CHECK_BYTES] + cursor.encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def cut(self, items: Sequence[T], cursor: Callable[[T], str]) -> tuple[Sequence[T], str]:
        """The page and the next token ("" on the last), from one more item than :attr:`limit`."""
        limit = self.limit
        if len(items) <= limit:
            return items, ""
        return items[:limit], self.after(cursor(items[limit - 1]))


def _invalid() -> Fault:
    return Fault(Reason.PAGE_TOKEN_INVALID, "The page token wasn't given out for this list.")
