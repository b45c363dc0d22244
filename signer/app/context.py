"""Who asks, and what each use case stands on."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from serving.faults import Fault
from signer.domain.ports import (
    AuditEntry,
    AuditLog,
    Clock,
    Ledger,
    LedgerChange,
    RequestKey,
    RequestMac,
    Step,
)


@dataclass(frozen=True, slots=True)
class Actor:
    """The authenticated caller of one RPC. ``rpc`` is "Service/Method"."""

    identity: str
    roles: frozenset[str]
    rpc: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Idempotent:
    """A client's ``request_id`` beside the canonical bytes of the whole request."""

    request_id: str
    canonical: bytes


@dataclass(frozen=True, slots=True)
class Desk:
    """What every changing use case needs. ``staleness`` is the staleness bound in seconds;
    ``committed`` is told each generation that was committed here."""

    ledger: Ledger
    audit: AuditLog
    clock: Clock
    request_mac: RequestMac
    staleness: float
    committed: Callable[[int], None]
    insecure_origins: frozenset[str] = frozenset()

    def entry(self, actor: Actor, step: Step, project: str, resource: str) -> AuditEntry:
        return AuditEntry(
            step=step,
            rpc=actor.rpc,
            caller=actor.identity,
            project=project,
            resource=resource,
            request_id=actor.request_id,
        )

    def request_key(
        self, actor: Actor, resource: str, wanted: Idempotent | None
    ) -> RequestKey | None:
        """Scoped to caller, method and resource: another tenant's id means another request."""
        if wanted is None or not wanted.request_id:
            return None
        scope = (actor.identity, actor.rpc, resource, wanted.request_id)
        key = self.request_mac(b"key", *(part.encode() for part in scope))
        return RequestKey(key, self.request_mac(b"body", key, wanted.canonical))

    @contextlib.asynccontextmanager
    async def changing(
        self, actor: Actor, project: str, resource: str, credential: str = ""
    ) -> AsyncIterator[LedgerChange]:
        """One audited transaction: the intent on record first, the generation once committed.

        AUDIT_UNAVAILABLE before anything is changed. After the commit a log that fails no longer
        fails the call, since the change is made and its intent is on record.
        """
        intent = replace(self.entry(actor, Step.INTENT, project, resource), credential=credential)
        await self.audit.record(intent)
        async with self.ledger.change() as change:
            yield change
        if change.changed:
            self.committed(change.generation)
            with contextlib.suppress(Fault):
                await self.audit.record(
                    replace(intent, step=Step.DONE, generation=change.generation)
                )

    async def wait_out(self) -> None:
        """Returns once no replica can sign with the state from before this moment any more."""
        await self.clock.sleep(self.staleness)
