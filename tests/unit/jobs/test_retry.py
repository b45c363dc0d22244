"""What is tried again, how often, and what comes of it."""

import dataclasses

import pytest

from catalog.domain.reasons import Reason
from catalog.jobs.faults import JobStopped
from catalog.jobs.retry import RetryPolicy, StoreSlow, asking_signer, asking_store
from catalog.remote.errors import StoreError, StoreErrorKind
from serving.faults import Fault, ForeignFault

QUICK = RetryPolicy(first_wait=0.001, longest_wait=0.002, signer_seconds=0.05)


class Scripted:
    """Raises what it was given, one after the other, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


async def test_a_throttling_store_is_asked_again() -> None:
    ask = Scripted(*[StoreError(StoreErrorKind.THROTTLED, 503)] * 4)
    assert await asking_store(QUICK, ask) == "answer"
    assert ask.asked == 5


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (StoreErrorKind.SERVER, 5),
        (StoreErrorKind.TIMEOUT, 5),
        (StoreErrorKind.UNREACHABLE, 5),
        (StoreErrorKind.FORBIDDEN, 2),
        (StoreErrorKind.BAD_RESPONSE, 1),
        (StoreErrorKind.REFUSED_ADDRESS, 1),
    ],
)
async def test_what_stays_broken_is_given_up(kind: StoreErrorKind, asked: int) -> None:
    ask = Scripted(*[StoreError(kind)] * 9)
    with pytest.raises(JobStopped):
        await asking_store(QUICK, ask)
    assert ask.asked == asked


async def test_a_store_that_is_slow_to_fail_is_asked_again_later() -> None:
    tries, asked = 0, 0
    hasty = dataclasses.replace(QUICK, slot_seconds=0.0)
    while True:
        ask = Scripted(*[StoreError(StoreErrorKind.TIMEOUT)] * 9)
        try:
            await asking_store(hasty, ask, tries)
        except StoreSlow as slow:
            tries = slow.tries
        except JobStopped:
            break
        finally:
            asked += ask.asked
        assert ask.asked == 1
    assert asked == hasty.store_tries


async def test_a_signer_that_restarts_is_waited_for() -> None:
    ask = Scripted(
        Fault(Reason.SIGNER_UNAVAILABLE, "away"), ForeignFault("d", 14, "STATE_STALE", "stale")
    )
    assert await asking_signer(QUICK, ask) == "answer"


async def test_a_signer_that_stays_away_is_given_up() -> None:
    ask = Scripted(*[Fault(Reason.SIGNER_UNAVAILABLE, "away")] * 1000)
    with pytest.raises(JobStopped) as stopped:
        await asking_signer(QUICK, ask)
    assert stopped.value.fault is not None
    assert stopped.value.fault.reason == "SIGNER_UNAVAILABLE"
    assert 2 < ask.asked < 100


async def test_a_refusal_of_the_signer_is_final() -> None:
    ask = Scripted(ForeignFault("d", 9, "CREDENTIAL_DISABLED", "off"))
    with pytest.raises(JobStopped):
        await asking_signer(QUICK, ask)
    assert ask.asked == 1


def test_waits_grow_up_to_their_bound() -> None:
    policy = RetryPolicy(first_wait=1.0, longest_wait=4.0)
    for tries, bound in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)):
        assert bound / 2 <= policy.wait(tries) <= bound
