"""The state in memory: never signed with when it is older than the bound, and never stuck."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import pytest

from serving.faults import Fault
from signer.app.state import SigningState
from signer.domain.bindings import Binding, Revision
from signer.domain.credentials import CredentialState
from signer.domain.ports import StateChange
from signer.domain.reasons import Reason
from tests.fakes.signer_databases import NOW, bound, credential

BOUND = 1.0


class ManualClock:
    """Monotonic time that moves when it is told to."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)


class Source:
    """Answers polls with what the test lays out; the last answer stays."""

    def __init__(self, *answers: StateChange | Exception | None) -> None:
        self.answers = list(answers)
        self.polls = 0
        self.clock: ManualClock | None = None
        self.takes = 0.0
        self.hangs: asyncio.Event | None = None

    async def poll(self) -> StateChange | None:
        self.polls += 1
        answer = self.answers.pop(0) if self.answers else None
        if self.hangs is not None:
            await self.hangs.wait()
        if self.clock is not None:
            self.clock.at += self.takes
        if isinstance(answer, Exception):
            raise answer
        return answer


def change(generation: int, *things: object, full: bool = False) -> StateChange:
    flat = [thing for item in things for thing in (item if isinstance(item, tuple) else (item,))]
    bindings = [thing for thing in flat if isinstance(thing, Binding)]
    revisions = [thing for thing in flat if isinstance(thing, Revision)]
    rest = [t for t in flat if not isinstance(t, Binding | Revision)]
    return StateChange(generation, full, rest, bindings, revisions)


WHOLE = change(1, credential(), bound(), full=True)


class Rig:
    def __init__(self, *answers: StateChange | Exception | None) -> None:
        self.source = Source(*answers)
        self.clock = ManualClock()
        self.refused: list[str] = []
        self.state = SigningState(self.source, self.clock, BOUND, self._on_refused)

    async def _on_refused(self, fault: Fault) -> None:
        self.refused.append(fault.reason)

    async def reason(self, binding: str = "photos") -> str:
        try:
            view = await self.state.view("acme", binding)
        except Fault as fault:
            return fault.reason
        return "none" if view is None else view.credential.state


async def test_a_confirmed_state_is_signed_with() -> None:
    rig = Rig(WHOLE)
    assert await rig.reason() == "ENABLED"
    assert await rig.reason("other") == "none"
    assert rig.state.generation == 1


async def test_the_bound_counts_from_before_the_question() -> None:
    rig = Rig(WHOLE)
    rig.source.clock, rig.source.takes = rig.clock, BOUND + 0.1
    assert await rig.reason() == Reason.STATE_STALE


async def test_an_old_state_is_asked_for_anew_and_else_refused() -> None:
    rig = Rig(WHOLE)
    assert await rig.reason() == "ENABLED"
    rig.clock.at += BOUND + 0.01
    rig.source.answers = [change(2, credential(state=CredentialState.DISABLED))]
    assert await rig.reason() == "DISABLED"
    rig.clock.at += BOUND + 0.01
    rig.source.answers = [Fault(Reason.STORAGE_UNAVAILABLE, "away")] * 3
    assert await rig.reason() == Reason.STATE_STALE
    rig.source.answers = []
    assert await rig.reason() == "DISABLED"


async def test_what_was_taken_before_is_checked_again_when_it_leaves() -> None:
    """A log that took its time mustn't let a URL out after the bound."""
    rig = Rig(WHOLE)
    view = await rig.state.view("acme", "photos")
    assert view is not None
    rig.clock.at += BOUND + 0.01
    await rig.state.refresh()
    with pytest.raises(Fault) as caught:
        rig.state.check_fresh(view.confirmed_at)
    assert caught.value.reason == Reason.STATE_STALE


async def test_a_question_that_hangs_is_given_up_within_the_bound() -> None:
    rig = Rig(WHOLE)
    rig.source.hangs = asyncio.Event()
    rig.state._staleness = 0.05
    began = asyncio.get_running_loop().time()
    assert await rig.reason() == Reason.STATE_STALE
    assert asyncio.get_running_loop().time() - began < 1
    rig.source.hangs.set()
    await asyncio.sleep(0.01)
    assert await rig.reason() == "ENABLED"


async def test_a_state_past_half_of_the_bound_is_confirmed_ahead_of_need() -> None:
    rig = Rig(WHOLE)
    assert await rig.reason() == "ENABLED"
    rig.clock.at += BOUND * 0.4
    assert (await rig.reason(), rig.source.polls) == ("ENABLED", 1)
    rig.clock.at += BOUND * 0.2
    assert (await rig.reason(), rig.source.polls) == ("ENABLED", 2)
    rig.clock.at += BOUND * 0.6
    rig.source.answers = [Fault(Reason.STORAGE_UNAVAILABLE, "away")] * 3
    assert await rig.reason() == "ENABLED"
    assert await rig.reason("other") == Reason.STATE_STALE
    rig.clock.at += BOUND * 0.5
    assert await rig.reason() == Reason.STATE_STALE


@pytest.mark.parametrize("reason", [Reason.STATE_TAMPERED, Reason.STATE_ROLLED_BACK])
async def test_state_that_is_not_trusted_stops_everything_at_once(reason: Reason) -> None:
    rig = Rig(WHOLE)
    assert await rig.reason() == "ENABLED"
    rig.source.answers = [Fault(reason, "x")] * 2
    for _ in range(2):
        with pytest.raises(Fault):
            await rig.state.refresh()
    assert rig.refused == [reason]
    refusal = rig.state.refusal()
    assert refusal is not None
    assert refusal.reason == reason
    assert await rig.reason() == reason
    await rig.state.refresh()
    assert rig.state.refusal() is None
    assert await rig.reason() == "ENABLED"


async def test_refusals_hold_on_to_nothing() -> None:
    """One exception raised for every call would keep the frames, and the requests, of them all."""
    rig = Rig(Fault(Reason.STATE_TAMPERED, "x"))
    with pytest.raises(Fault):
        await rig.state.refresh()
    caught = []
    for _ in range(3):
        with pytest.raises(Fault) as found:
            rig.state.check_fresh(0.0)
        caught.append(found.value)
    assert len({id(fault) for fault in [*caught, rig.state.refusal()]}) == 4
    depths = []
    for fault in caught:
        depth, traceback = 0, fault.__traceback__
        while traceback is not None:
            depth, traceback = depth + 1, traceback.tb_next
        depths.append(depth)
    assert len(set(depths)) == 1


@asynccontextmanager
async def polling(state: SigningState) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.ensure_future(state.run())
    yield task
    task.cancel()


async def test_polling_goes_on_whatever_happens() -> None:
    rig = Rig(RuntimeError("surprise"), Fault(Reason.STORAGE_UNAVAILABLE, "x"), OSError(), WHOLE)
    async with polling(rig.state) as task:
        async with asyncio.timeout(5):
            while rig.state.generation < 1:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.001)
        assert not task.done()
    assert rig.source.polls >= 4


async def test_a_change_of_our_own_does_not_fail_over_the_question_after_it() -> None:
    for trouble in (Fault(Reason.STORAGE_UNAVAILABLE, "x"), RuntimeError("x")):
        await Rig(trouble).state.changed()


async def test_a_refresh_asks_after_it_was_called() -> None:
    """A question under way may have read before the caller's own change was committed."""
    rig = Rig(WHOLE, change(2, credential(state=CredentialState.DISABLED)))
    rig.source.hangs = asyncio.Event()
    first = asyncio.ensure_future(rig.state.refresh())
    await asyncio.sleep(0)
    later = [asyncio.ensure_future(rig.state.refresh()) for _ in range(5)]
    await asyncio.sleep(0)
    assert rig.source.polls == 1
    rig.source.hangs.set()
    await asyncio.gather(first, *later)
    assert rig.source.polls == 2
    assert rig.state.generation == 2


async def test_a_name_used_again_means_the_new_binding() -> None:
    binding, revision = bound()
    again = bound(uid="again")
    for order in ([(binding, revision), again], [again, (binding, revision)]):
        gone = [(replace(b, delete_time=NOW), r) if b is binding else (b, r) for b, r in order]
        rig = Rig(WHOLE, change(2, *gone))
        await rig.state.refresh()
        await rig.state.refresh()
        view = await rig.state.view("acme", "photos")
        assert view is not None
        assert view.binding.uid == "again"


async def test_a_deleted_binding_is_gone() -> None:
    binding, revision = bound()
    rig = Rig(WHOLE, change(2, replace(binding, delete_time=NOW), revision))
    await rig.state.refresh()
    await rig.state.refresh()
    assert await rig.reason() == "none"


@pytest.mark.parametrize(
    "broken",
    [
        change(1, bound(), full=True),
        change(1, credential(), bound()[0], full=True),
        change(1, credential(uid="another"), bound(), full=True),
        change(1, credential(), replace(bound()[0], active=2), bound()[1], full=True),
    ],
    ids=["no credential", "no revision", "another credential of the name", "no active revision"],
)
async def test_state_that_does_not_hold_together_is_refused(broken: StateChange) -> None:
    assert await Rig(broken).reason() == Reason.STATE_TAMPERED


async def test_the_whole_replaces_what_was_there() -> None:
    rig = Rig(WHOLE, change(2, credential("new"), bound("new", credential_id="new"), full=True))
    await rig.state.refresh()
    await rig.state.refresh()
    assert await rig.reason("new") == "ENABLED"
    assert await rig.reason() == "none"
