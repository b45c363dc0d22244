"""What the Signer's use cases need from outside, as narrow as they need it.

Every method may raise ``serving.faults.Fault`` and nothing else that a caller would see.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from signer.domain.bindings import Binding, BoundRevision, Revision
from signer.domain.credentials import Credential, Envelope
from signer.domain.location import Provider
from signer.domain.signing import Material, SignerFactory

MaterialFields = Mapping[str, bytes | bytearray | memoryview]


class Clock(Protocol):
    """Wall time for what is stored and signed, monotonic seconds for bounds."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Kind(Protocol):
    """What a provider's row says of one kind of material."""

    @property
    def provider(self) -> Provider: ...

    @property
    def factory(self) -> SignerFactory: ...

    @property
    def fields(self) -> frozenset[str]: ...

    @property
    def validate(self) -> Callable[[MaterialFields], list[tuple[str, str]]]: ...

    @property
    def principal_hint(self) -> Callable[[MaterialFields], str]: ...

    @property
    def max_lifetime_seconds(self) -> int: ...


class Vault(Protocol):
    """Seals material and opens it again. SEALED when the key-encryption key can't be had."""

    async def seal(self, credential: Credential, fields: MaterialFields) -> Envelope: ...

    async def open(self, credential: Credential) -> Material:
        """CREDENTIAL_UNREADABLE when ciphertext, header or columns don't belong together."""
        ...


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request that must happen once: ``key`` names it, ``digest`` is a MAC of what it asks."""

    key: bytes
    digest: bytes


class LedgerChange(Protocol):
    """One transaction that changes state. Holds the generation's lock from its first statement.

    Reads verify each row's MAC (STATE_TAMPERED), writes seal it anew. The generation grows by one
    when the block ends without an exception and something was written; otherwise nothing happens.
    """

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        ...

    @property
    def generation(self) -> int:
        """The generation that this change makes."""
        ...

    async def credential(self, project: str, credential_id: str) -> Credential | None: ...

    async def binding(self, project: str, binding_id: str) -> BoundRevision | None: ...

    async def revision(self, binding_uid: str, number: int) -> Revision | None: ...

    async def users(self, credential_uid: str) -> list[BoundRevision]:
        """The bindings whose active or staged revision uses the credential, by name."""
        ...

    async def put_credential(self, credential: Credential) -> None: ...

    async def put_binding(self, binding: Binding) -> None: ...

    async def put_revision(self, revision: Revision) -> None: ...

    async def earlier(self, request: RequestKey, now: datetime) -> str | None:
        """The resource that an equal request made within 24 hours, if one did.

        REQUEST_ID_REUSED when the request under this key was another one.
        """
        ...

    async def remember(self, request: RequestKey, resource: str, now: datetime) -> None: ...


class Ledger(Protocol):
    """The database of record. Every row it gives was verified."""

    def change(self) -> AbstractAsyncContextManager[LedgerChange]: ...

    async def credential(self, project: str, credential_id: str) -> Credential | None: ...

    async def binding(self, project: str, binding_id: str) -> BoundRevision | None: ...

    async def users(self, credential_uid: str) -> list[BoundRevision]: ...

    async def last_drain(self, credential_uid: str) -> datetime | None:
        """The latest ``drain_time`` of superseded revisions that used the credential."""
        ...

    async def credentials(self, project: str, after: str, limit: int) -> list[Credential]: ...

    async def bindings(self, project: str, after: str, limit: int) -> list[BoundRevision]: ...

    async def revisions(self, binding_uid: str, before: int, limit: int) -> list[Revision]: ...


@dataclass(frozen=True, slots=True)
class StateChange:
    """What came since the last poll. ``full`` says that it is everything, not a difference."""

    generation: int
    full: bool
    credentials: Sequence[Credential] = ()
    bindings: Sequence[Binding] = ()
    revisions: Sequence[Revision] = ()


class StateSource(Protocol):
    """The state as one whole: STATE_TAMPERED when rows don't add up to what was written,
    STATE_ROLLED_BACK when the generation went backwards."""

    async def poll(self) -> StateChange | None:
        """What changed since the last poll, or None when nothing did."""
        ...


class Step(StrEnum):
    """Where in its life a record was written."""

    SIGNED = "SIGNED"  # URLs that are about to leave
    INTENT = "INTENT"  # a change that is about to be committed
    DONE = "DONE"  # a change that was committed, with its generation
    REFUSED = "REFUSED"  # state that wasn't trusted


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What one record says. Never a URL and never a secret; ``keys`` are full object keys."""

    step: Step
    rpc: str
    caller: str
    project: str
    resource: str
    on_behalf_of: str = ""
    request_id: str = ""
    generation: int = 0
    revision: str = ""
    credential: str = ""
    method: str = ""
    audience: str = ""
    keys: Sequence[str] = field(default=())
    versions: Sequence[str] = field(default=())
    not_after: datetime | None = None
    reason: str = ""


class AuditLog(Protocol):
    """Accepts a record before what it tells of leaves the Signer, or AUDIT_UNAVAILABLE."""

    async def record(self, entry: AuditEntry) -> None: ...


class RequestMac(Protocol):
    """A keyed fingerprint: confirms an equal request and nothing else."""

    def __call__(self, *parts: bytes) -> bytes: ...
