"""Trying again what may go well a little later: stores that throttle, a Signer that restarts.

Exponential backoff with full jitter (the wait is drawn from zero to the current bound), so that
jobs that failed together don't come back together.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from catalog.domain.reasons import Reason
from catalog.jobs.faults import from_signer, from_store
from catalog.remote.errors import StoreError, StoreErrorKind
from serving.faults import Fault, ForeignFault

Result = TypeVar("Result")

_UNAVAILABLE = 14  # gRPC's status code UNAVAILABLE: the Signer says that nothing was done


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``store_tries`` requests at most, waits doubling from ``first_wait`` seconds up to
    ``longest_wait``; a Signer that is away is waited for ``signer_seconds`` in all.

    A store that used up ``slot_seconds`` is asked again later, and meanwhile the job's place is
    another's: see :class:`StoreSlow`.
    """

    store_tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 10.0
    signer_seconds: float = 120.0
    slot_seconds: float = 10.0
    longest_rest: float = 60.0

    def tries(self, kind: StoreErrorKind) -> int:
        """How often to ask a store that answers so."""
        if kind is StoreErrorKind.FORBIDDEN:
            # The credential may have been rotated between signing and asking: once more, anew.
            return min(2, self.store_tries)
        return self.store_tries if kind.retryable else 1

    def wait(self, tries: int) -> float:
        """How long to wait after so many tries (1 and up)."""
        bound = min(self.longest_wait, self.first_wait * 2.0 ** min(tries - 1, 16))
        # Half of it for sure: a draw near zero would spend a try on nothing.
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret

    def rest(self, tries: int) -> float:
        """How long a job rests outside its place after so many tries: ten times as long."""
        bound = min(self.longest_rest, 10 * self.first_wait * 2.0 ** min(tries - 1, 16))
        return bound * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class StoreSlow(Exception):
    """The store takes long to say nothing. ``tries`` is how often it was asked by now."""

    def __init__(self, tries: int) -> None:
        super().__init__("the store is slow")
        self.tries = tries


async def asking_signer(policy: RetryPolicy, ask: Callable[[], Awaitable[Result]]) -> Result:
    """What ``ask`` answers. Raises JobStopped for a refusal, or when the Signer stays away."""
    until = time.monotonic() + policy.signer_seconds
    tries = 0
    while True:
        tries += 1
        try:
            return await ask()
        except Fault as problem:
            fault = problem
        if not _away(fault) or time.monotonic() >= until:
            raise from_signer(fault)
        await asyncio.sleep(policy.wait(tries))


def _away(fault: Fault) -> bool:
    if isinstance(fault, ForeignFault):
        return fault.code == _UNAVAILABLE
    return fault.reason == Reason.SIGNER_UNAVAILABLE


async def asking_store(
    policy: RetryPolicy, ask: Callable[[], Awaitable[Result]], tries: int = 0
) -> Result:
    """What ``ask`` answers, which signs anew each time. Raises JobStopped when it won't answer.

    Raises StoreSlow when it is to be asked again later; give its ``tries`` back then.
    """
    until = time.monotonic() + policy.slot_seconds
    while True:
        tries += 1
        try:
            return await ask()
        except StoreError as problem:
            error = problem
        if tries >= policy.tries(error.kind):
            raise from_store(error)
        if time.monotonic() > until:
            raise StoreSlow(tries)
        await asyncio.sleep(policy.wait(tries))
