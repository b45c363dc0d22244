"""Looks into images, some at a time and so many a second, and says what became of each.

An image that can't be read is a failure of its own, not of the job; a store that answers none of a
whole batch is the job's.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from catalog.domain.model import InfoState, ItemFailure, SourceState
from catalog.domain.ports import (
    ImageToProbe,
    ObjectToSign,
    ProbeResult,
    Signer,
    Terms,
    Url,
    ViewOptions,
)
from catalog.domain.reasons import Reason
from catalog.jobs.faults import MEANINGS, JobStopped, from_store
from catalog.jobs.retry import RetryPolicy, asking_signer
from catalog.remote.errors import StoreError, StoreErrorKind
from catalog.remote.guarded import StoreHttp
from catalog.remote.probe import ProbeOutcome, ProbeState, probe

_INTERNAL = ViewOptions(audience="INTERNAL")
_KEY_UNSIGNABLE = "KEY_UNSIGNABLE"  # the Signer's reason for one object of a batch
_UNREADABLE = "The object was replaced while it was read, or it is stored compressed."
_SOURCE = {
    ProbeState.AVAILABLE: SourceState.AVAILABLE,
    ProbeState.MISSING: SourceState.MISSING,
    ProbeState.FORBIDDEN: SourceState.FORBIDDEN,
    # The etag differs from the listing's: what was read is what counts from now on.
    ProbeState.CHANGED: SourceState.AVAILABLE,
    ProbeState.UNKNOWN: SourceState.UNKNOWN,
}
# These say something about the store, not about the object that was asked for.
_STORE_WIDE = frozenset(
    kind for kind in StoreErrorKind if kind.retryable or kind is StoreErrorKind.REFUSED_ADDRESS
)


class Pace:
    """Lets ``per_second`` pass, evenly spaced."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await asyncio.sleep(at - now)


@dataclass(frozen=True, slots=True)
class ProbeOf:
    """Whom to ask, and how hard. ``look`` False reads no more than whether the object is there.

    After ``batch_seconds`` no further image of a batch is begun.
    """

    binding: str
    on_behalf_of: str
    look: bool
    signer: Signer
    http: StoreHttp
    retry: RetryPolicy
    pace: Pace
    concurrency: int = 16
    seconds: float = 30.0
    tries: int = 3
    batch_seconds: float = 60.0


@dataclass(slots=True)
class Probed:
    """What became of a batch; ``stopped`` when it is the job's failure, and nothing else counts.

    ``reached`` is the key of the last image that was looked into, None when all of them were.
    """

    results: list[ProbeResult] = field(default_factory=list)
    failures: list[ItemFailure] = field(default_factory=list)
    stopped: JobStopped | None = None
    reached: str | None = None


class _Looked(NamedTuple):
    """``outcome`` is None for an image that couldn't be signed for: ``url`` says why."""

    url: Url
    outcome: ProbeOutcome | None
    epoch: int


async def probe_batch(what: ProbeOf, images: Sequence[ImageToProbe], now: datetime) -> Probed:
    """Look into up to 1,000 images, in their order. Never raises for what store or Signer does."""
    try:
        terms, urls = await _sign(what, images)
    except JobStopped as stopped:
        return Probed(stopped=stopped)
    looks = await _look_at_all(what, images, terms, urls)
    for look in looks:
        if isinstance(look, JobStopped):
            return Probed(stopped=look)
    looked = [look for look in looks if isinstance(look, _Looked)]
    whole = _store_wide([look.outcome for look in looked])
    if whole is not None:
        return Probed(stopped=from_store(whole))
    probed = Probed(reached=None if len(looked) == len(images) else images[len(looked) - 1].key)
    for image, look in zip(images, looked, strict=False):
        if look.outcome is None:
            _unsigned(probed, image, look.url, now)
        else:
            _seen(probed, what, image, look.outcome, look.epoch, now)
    return probed


async def _look_at_all(
    what: ProbeOf, images: Sequence[ImageToProbe], terms: Terms, urls: Sequence[Url]
) -> list[_Looked | JobStopped]:
    """One for each image up to the last that was begun in time, the first of all at any rate."""
    limit = asyncio.Semaphore(what.concurrency)
    until = time.monotonic() + what.batch_seconds
    begun = 0

    async def one(image: ImageToProbe, url: Url) -> _Looked | JobStopped | None:
        nonlocal begun
        async with limit:  # which lets them in by their order
            if begun and time.monotonic() > until:
                return None
            begun += 1
            try:
                return await _look(what, image, url, terms)
            except JobStopped as stopped:
                return stopped

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(*pair)) for pair in zip(images, urls, strict=True)]
    looks: list[_Looked | JobStopped] = []
    for task in tasks:
        look = task.result()
        if look is None:
            break
        looks.append(look)
    return looks


async def _sign(what: ProbeOf, images: Sequence[ImageToProbe]) -> tuple[Terms, list[Url]]:
    # No version: what is wanted is the object as it is now.
    objects = [ObjectToSign(image.key) for image in images]
    return await asking_signer(
        what.retry,
        lambda: what.signer.object_urls(what.binding, objects, _INTERNAL, what.on_behalf_of),
    )


async def _look(what: ProbeOf, image: ImageToProbe, url: Url, terms: Terms) -> _Looked:
    tries = 0
    while url.url:
        tries += 1
        await what.pace.turn()
        if not _lasts(what, terms):
            terms, (url,) = await _sign(what, [image])
        outcome = await probe(
            what.http,
            url.url,
            terms.headers,
            expected_etag=image.etag or None,
            seconds=what.seconds,
            **({} if what.look else {"max_ranges": 1}),
        )
        retryable = outcome.reason is not None and outcome.reason.retryable
        if not retryable or tries >= what.tries:
            return _Looked(url, outcome, terms.location_epoch)
        await asyncio.sleep(what.retry.wait(tries))
    return _Looked(url, None, terms.location_epoch)


def _lasts(what: ProbeOf, terms: Terms) -> bool:
    """Whether the URL is good for a whole look: past its time the store would say "forbidden"."""
    return datetime.now(UTC) + timedelta(seconds=what.seconds) < terms.not_after


def _store_wide(outcomes: Sequence[ProbeOutcome | None]) -> StoreError | None:
    """The error that every image of the batch met, when it isn't about any of them."""
    asked = [outcome for outcome in outcomes if outcome is not None]
    if not asked or not all(outcome.reason in _STORE_WIDE for outcome in asked):
        return None
    last = asked[-1]
    kind = last.reason or StoreErrorKind.OTHER
    return StoreError(kind, last.status, last.provider_code)


def _unsigned(probed: Probed, image: ImageToProbe, url: Url, now: datetime) -> None:
    unsignable = url.reason == _KEY_UNSIGNABLE
    reason = str(Reason.IMAGE_UNSIGNABLE) if unsignable else url.reason
    probed.results.append(
        ProbeResult(
            image.key,
            SourceState.UNSIGNABLE if unsignable else SourceState.UNKNOWN,
            InfoState.SKIPPED if unsignable else InfoState.FAILED,
            reason=reason,
            seen_etag=image.etag,
        )
    )
    probed.failures.append(ItemFailure(image.key, image.image_id, reason, url.message, 0, "", now))


def _seen(
    probed: Probed,
    what: ProbeOf,
    image: ImageToProbe,
    outcome: ProbeOutcome,
    epoch: int,
    now: datetime,
) -> None:
    facts = outcome.image
    state, reason = _info(what, outcome)
    probed.results.append(
        ProbeResult(
            image.key,
            _SOURCE[outcome.state],
            state,
            reason=reason,
            media_type=facts.media_type if facts else "",
            width=(facts.width or 0) if facts else 0,
            height=(facts.height or 0) if facts else 0,
            orientation=(facts.orientation or 0) if facts else 0,
            version=outcome.version or "",
            version_epoch=epoch,
            etag=outcome.etag or "",
            size=outcome.size,
            last_modified=outcome.last_modified,
            seen_etag=image.etag,
        )
    )
    if state is InfoState.FAILED:
        message = MEANINGS[outcome.reason].message if outcome.reason else _UNREADABLE
        status, code = outcome.status or 0, outcome.provider_code or ""
        failure = ItemFailure(image.key, image.image_id, reason, message, status, code, now)
        probed.failures.append(failure)


def _info(what: ProbeOf, outcome: ProbeOutcome) -> tuple[InfoState, str]:
    if outcome.reason is not None:
        return InfoState.FAILED, MEANINGS[outcome.reason].reason
    if not what.look:
        return InfoState.SKIPPED, ""
    if outcome.image is not None:
        return InfoState.PROBED, ""
    if outcome.not_an_image:
        return InfoState.NOT_AN_IMAGE, ""
    return InfoState.FAILED, Reason.STORE_BROKEN
