"""The state that URLs are signed with, held in memory and never older than the staleness bound.

A poll asks the database for its generation every 250 ms. The moment *before* the question went out
is what the state is confirmed for: signing with a state whose confirmation is older than the bound
is refused, so that a change which waits for the bound to pass has reached everyone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from serving.faults import Fault
from signer.domain.bindings import Binding, Revision
from signer.domain.credentials import Credential
from signer.domain.ports import Clock, StateChange, StateSource
from signer.domain.reasons import Reason

POLL_SECONDS = 0.25
_PATIENCE = 5.0
_LOGGER = logging.getLogger("signer.state")
_STALE = "The state couldn't be confirmed within the staleness bound; try again."
# Faults that an operator must look into: what was loaded is no longer served, either.
_LATCHING = (Reason.STATE_TAMPERED, Reason.STATE_ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class BindingView:
    """All that signing needs to know of a binding, at one generation."""

    binding: Binding
    revision: Revision
    credential: Credential
    generation: int
    confirmed_at: float

    @property
    def revision_name(self) -> str:
        return self.binding.revision_name(self.revision.number)


class SigningState:
    """Keeps the views fresh. One per process; :meth:`run` polls until it is cancelled.

    ``refused`` is told once about every fault that latches, for the audit log.
    """

    def __init__(
        self,
        source: StateSource,
        clock: Clock,
        staleness: float,
        refused: Callable[[Fault], Awaitable[None]],
    ) -> None:
        self._source = source
        self._clock = clock
        self._staleness = staleness
        self._refused = refused
        self._bindings: dict[str, Binding] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._revisions: dict[str, Revision] = {}
        self._credentials: dict[str, Credential] = {}
        self._generation = -1
        self._confirmed_at = float("-inf")
        self._broken: Fault | None = None
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def generation(self) -> int:
        return self._generation

    @property
    def age(self) -> float:
        """Seconds since the state was last confirmed."""
        return self._clock.monotonic() - self._confirmed_at

    def refusal(self) -> Fault | None:
        """Why nothing at all may be served, or None.

        A new one each time: an exception that is raised again and again keeps every frame it
        passed through, with the requests in them.
        """
        broken = self._broken
        return None if broken is None else Fault(broken.reason, broken.message)

    async def run(self) -> None:
        """Polls for ever. A database that is away is no reason to stop: signing does, by age."""
        while True:
            await self._refresh_quietly(max(self._staleness, _PATIENCE))
            await self._clock.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Ends a question that is still under way: it has a connection that must be given back."""
        running = self._refreshing
        if running is not None and not running.done():
            running.cancel()
            await asyncio.wait([running])

    async def changed(self) -> None:
        """After a change of our own. Its answer doesn't hang on this: a state that can't be
        confirmed isn't signed with."""
        await self._refresh_quietly(self._staleness)

    async def _refresh_quietly(self, seconds: float) -> None:
        try:
            # Not wait_for: in Python 3.11 it can swallow a cancellation, and polling never ends.
            async with asyncio.timeout(seconds):
                await self.refresh()
        except (Fault, TimeoutError):
            return
        except Exception:
            _LOGGER.exception("the state can't be read")

    async def refresh(self) -> None:
        """Asks the database now. A question asked after this call began is what is awaited."""
        running = self._refreshing
        if running is not None:
            # It may have read before the caller's own change was committed: wait, then ask anew.
            await asyncio.wait([running])
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.ensure_future(self._poll())
            self._refreshing.add_done_callback(_seen)
        await asyncio.shield(self._refreshing)

    async def _poll(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            # A connection that hangs must not hold up the questions after it for good.
            async with asyncio.timeout(max(self._staleness, _PATIENCE)):
                change = await self._source.poll()
        except Fault as fault:
            if fault.reason in _LATCHING and self._broken is None:
                self._broken = Fault(fault.reason, fault.message)
                await self._refused(self._broken)
            raise
        if change is not None:
            self._apply(change)
        self._confirmed_at = asked_at
        self._broken = None

    def _apply(self, change: StateChange) -> None:
        if change.full:
            for table in (self._bindings, self._names, self._revisions, self._credentials):
                table.clear()
        for credential in change.credentials:
            self._credentials[credential.name] = credential
        for binding in change.bindings:
            self._bindings[binding.uid] = binding
            key = (binding.project, binding.binding_id)
            if binding.delete_time is None:
                self._names[key] = binding.uid
            elif self._names.get(key) == binding.uid:
                del self._names[key]
        for revision in change.revisions:
            binding_of = self._bindings.get(revision.binding_uid)
            if binding_of is not None and binding_of.active == revision.number:
                self._revisions[revision.binding_uid] = revision
        self._generation = change.generation

    async def view(self, project: str, binding_id: str) -> BindingView | None:
        """The binding as it is signed with now; None if there is none. STATE_STALE, or broken."""
        found = self._find(project, binding_id)
        # Half of the bound is for what comes between here and the answer: the audit log, a busy
        # machine. Unless polling is held up, the state is never as old as that.
        if found is None or self.age > self._staleness / 2:
            # Perhaps another replica made it a moment ago, or this process was asleep.
            confirmed = await self._refresh_in_time(wait_out=found is None)
            found = self._find(project, binding_id)
            if found is None and not confirmed:
                self.check_fresh(self._confirmed_at)
                raise Fault(Reason.STATE_STALE, _STALE)
        self.check_fresh(self._confirmed_at)
        return found

    async def _refresh_in_time(self, *, wait_out: bool) -> bool:
        """False leaves the state as old as it is: a question that isn't answered in time.

        While the state can be signed with, no more than half of its time is spent on asking.
        """
        left = self._staleness - self.age
        patience = self._staleness if wait_out or left <= 0 else left / 2
        try:
            async with asyncio.timeout(patience):
                await self.refresh()
        except (Fault, TimeoutError):
            return False
        return True

    def check_fresh(self, confirmed_at: float) -> None:
        """STATE_STALE when a state confirmed then may no longer be signed with."""
        broken = self.refusal()
        if broken is not None:
            raise broken
        if self._clock.monotonic() - confirmed_at > self._staleness:
            raise Fault(Reason.STATE_STALE, _STALE)

    def _find(self, project: str, binding_id: str) -> BindingView | None:
        uid = self._names.get((project, binding_id))
        if uid is None:
            return None
        binding, revision = self._bindings[uid], self._revisions.get(uid)
        credential = None if revision is None else self._credentials.get(revision.credential)
        if (
            revision is None
            or credential is None
            or revision.number != binding.active
            or credential.uid != revision.credential_uid
        ):
            raise Fault(Reason.STATE_TAMPERED, "The stored state doesn't hold together.")
        return BindingView(binding, revision, credential, self._generation, self._confirmed_at)


def _seen(poll: "asyncio.Task[None]") -> None:
    """Whoever waited may have given up: asyncio would report the exception as a lost one."""
    if not poll.cancelled():
        poll.exception()
