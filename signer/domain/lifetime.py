"""When a URL is signed and until when it works.

The signing instant is quantised: within one window of a binding the same request is signed for
the same instant and so gives the same URL, which browsers and proxies can cache. Every binding
has a phase of its own, so that not all URLs of a platform change in the same second. A URL lives
for ``ttl + window``: at any moment of the window at least ``ttl`` of it is left.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signer.domain.signing import Instant

DEFAULT_TTL = timedelta(minutes=15)
MIN_TTL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """``refresh_after`` is when a new request gives another URL; always before ``not_after``."""

    instant: Instant
    not_after: datetime
    refresh_after: datetime


def max_ttl(max_url_lifetime: timedelta, window: timedelta) -> timedelta:
    """The longest TTL that a binding grants: what the window, or the odd second, leaves of it."""
    return max_url_lifetime - max(window, timedelta(seconds=1))


def default_ttl(max_url_lifetime: timedelta, window: timedelta) -> timedelta:
    """15 minutes, or less where the binding's own limit is lower."""
    return min(DEFAULT_TTL, max_ttl(max_url_lifetime, window))


def phase(binding_uid: str, window_seconds: int) -> int:
    """Seconds by which the binding's windows are shifted: spread evenly, fixed for good."""
    if window_seconds == 0:
        return 0
    digest = hashlib.sha256(b"window phase\0" + binding_uid.encode()).digest()
    return int.from_bytes(digest[:8], "big") % window_seconds


def lifetime(now: datetime, ttl: timedelta, window: timedelta, shift: int) -> Lifetime:
    """The terms of a URL asked for at ``now``; ``ttl`` and ``window`` are whole seconds.

    Holds ``now + ttl <= not_after`` up to the fraction of a second that SigV4 can't say, which is
    why one second is added when there is no window to take it from.
    """
    seconds = int(now.timestamp())
    span = int(window.total_seconds())
    start = (seconds - shift) // span * span + shift if span else seconds
    expires = int(ttl.total_seconds()) + (span or 1)
    signed_at = datetime.fromtimestamp(start, UTC)
    not_after = signed_at + timedelta(seconds=expires)
    fresh_for = span or max(1, int(ttl.total_seconds()) // 2)
    refresh_after = signed_at + timedelta(seconds=fresh_for)
    return Lifetime(Instant(signed_at, expires), not_after, refresh_after)
