"""What tests of the Catalog stand on: sample resources, and fakes of its ports."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog.app.desk import Desk
from catalog.domain.model import (
    Bucket,
    ImportCounts,
    InfoState,
    Mode,
    Operation,
    OperationState,
    Phase,
    ProbePolicy,
    SourceState,
)
from catalog.domain.ports import (
    SIGNER_DOMAIN,
    BindingInfo,
    CheckOutcome,
    ListedEntry,
    ObjectToSign,
    ProbeResult,
    Terms,
    Url,
    ViewOptions,
)
from catalog.domain.reasons import Reason
from catalog.storage.buckets import BucketTable
from catalog.storage.images import ImageTable
from catalog.storage.operations import OperationTable
from catalog.storage.requests import RequestTable
from serving.database import Database
from serving.faults import Fault, ForeignFault

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def bucket(**changes: Any) -> Bucket:
    """``projects/acme/buckets/photos``, freshly mounted."""
    made = Bucket(
        project="acme",
        bucket_id="photos",
        uid="a" * 32,
        binding="projects/acme/bindings/cam",
        mode=Mode.LINK,
        probe_policy=ProbePolicy.HEADERS,
        display_name="",
        etag="e1",
        create_time=NOW,
        update_time=NOW,
    )
    return dataclasses.replace(made, **changes)


def operation(of: Bucket, **changes: Any) -> Operation:
    """An import of the bucket that waits for a worker."""
    made = Operation(
        project=of.project,
        operation_id="import-1",
        bucket_uid=of.uid,
        bucket_name=of.name,
        state=OperationState.RUNNING,
        phase=Phase.QUEUED,
        progress=ImportCounts(),
        probe_total=0,
        cancel_requested=False,
        create_time=NOW,
        update_time=NOW,
    )
    return dataclasses.replace(made, **changes)


def entry(key: str, etag: str = "e", size: int = 1, signable: bool = True) -> ListedEntry:
    """An object as a store lists it."""
    return ListedEntry(key, size, etag, NOW, signable)


def result(key: str, **changes: Any) -> ProbeResult:
    """A probe that found a PNG of 3 by 2 pixels."""
    made = ProbeResult(
        key,
        SourceState.AVAILABLE,
        InfoState.PROBED,
        media_type="image/png",
        width=3,
        height=2,
        orientation=1,
        version="v1",
        version_epoch=1,
        etag="e",
        size=1,
        seen_etag="e",
    )
    return dataclasses.replace(made, **changes)


BINDING = "projects/acme/bindings/cam"


class FakeSigner:
    """Knows ``bindings`` by name, keeps ``holders``, and signs with URLs that anyone can read.

    ``fault`` is raised by every call while it is set; ``refused`` are errors by key.
    """

    def __init__(self) -> None:
        self.bindings = {BINDING: BindingInfo(BINDING, "CUSTOMER", frozenset({"READ", "LIST"}), 1)}
        self.holders: dict[str, set[str]] = {}
        self.fault: Fault | None = None
        self.refused: dict[str, Url] = {}
        self.asked: list[tuple[str, ObjectToSign, ViewOptions, str]] = []

    async def binding(self, name: str) -> BindingInfo:
        if self.fault is not None:
            raise self.fault
        if name not in self.bindings:
            raise ForeignFault(SIGNER_DOMAIN, 5, "RESOURCE_NOT_FOUND", "Not there.")
        return self.bindings[name]

    async def hold(self, binding: str, holder: str) -> BindingInfo:
        info = await self.binding(binding)
        self.holders.setdefault(binding, set()).add(holder)
        return info

    async def release(self, binding: str, holder: str) -> None:
        await self.binding(binding)
        self.holders.setdefault(binding, set()).discard(holder)

    async def object_urls(
        self,
        binding: str,
        objects: Sequence[ObjectToSign],
        options: ViewOptions,
        on_behalf_of: str,
    ) -> tuple[Terms, list[Url]]:
        await self.binding(binding)
        self.asked += [(binding, one, options, on_behalf_of) for one in objects]
        audience = options.audience or "PUBLIC"
        urls = [
            self.refused.get(one.key) or Url(url=f"https://store.test/{audience}/{one.key}")
            for one in objects
        ]
        return terms(), urls

    async def listing_url(
        self,
        binding: str,
        prefix: str,
        start_after: str,
        continuation_token: str,
        on_behalf_of: str,
    ) -> tuple[Terms, str, str]:
        await self.binding(binding)
        return terms(), f"https://store.test/?prefix={prefix}", ""


def terms() -> Terms:
    soon = NOW + timedelta(minutes=15)
    return Terms("GET", {"x-test": "1"}, soon, NOW, f"{BINDING}/revisions/1", 1)


class FakeQueue:
    """Remembers what was handed to it; ``fault`` is raised in its place while it is set.

    ``intents`` are purges that have time.
    """

    def __init__(self) -> None:
        self.imports: list[tuple[str, str, str]] = []
        self.purges: list[str] = []
        self.intents: list[str] = []
        self.fault: Fault | None = None

    async def enqueue_import(
        self, tx: object, project: str, operation_id: str, bucket_uid: str
    ) -> None:
        if self.fault is not None:
            raise self.fault
        self.imports.append((project, operation_id, bucket_uid))

    async def enqueue_purge(self, tx: object, bucket_uid: str, after: float = 0.0) -> None:
        (self.intents if after else self.purges).append(bucket_uid)


class FakeChecker:
    """Answers ``outcome`` and remembers the URLs that it was given."""

    def __init__(self) -> None:
        self.outcome = CheckOutcome(None, 206)
        self.urls: list[tuple[str, Mapping[str, str]]] = []

    async def check(self, url: str, headers: Mapping[str, str]) -> CheckOutcome:
        self.urls.append((url, headers))
        return self.outcome


@dataclasses.dataclass
class Stage:
    """A desk on a real database, with everything outside it faked. ``now`` may be set."""

    database: Database
    signer: FakeSigner = dataclasses.field(default_factory=FakeSigner)
    queue: FakeQueue = dataclasses.field(default_factory=FakeQueue)
    checker: FakeChecker = dataclasses.field(default_factory=FakeChecker)
    now: datetime = NOW
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    def desk(self) -> Desk:
        return Desk(
            database=self.database,
            buckets=BucketTable(),
            images=ImageTable(),
            operations=OperationTable(),
            requests=RequestTable(),
            queue=self.queue,
            signer=self.signer,
            checker=self.checker,
            now=lambda: self.now,
            random=lambda size: f"{next(self.numbers):0{2 * size}x}",
        )


def storage_unavailable() -> Fault:
    return Fault(Reason.STORAGE_UNAVAILABLE, "The database can't be had.")
