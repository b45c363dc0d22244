"""What the use cases need of the Catalog's own tables, as narrow as they need it.

Every method takes the transaction that it is part of, so that several are all done or none is.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from catalog.domain.model import Bucket, Health, Image, ItemFailure, Operation, SourceState
from catalog.domain.ports import NewImport, Tx


class Transactions(Protocol):
    """Begins transactions; a database that can't be had is Reason.STORAGE_UNAVAILABLE."""

    def write(self) -> AbstractAsyncContextManager[Tx]: ...

    def read(self) -> AbstractAsyncContextManager[Tx]: ...


class BucketStore(Protocol):
    """Buckets that aren't unmounted. ``lock`` is get, and keeps other writers out until the end."""

    async def insert(self, tx: Tx, bucket: Bucket) -> bool:
        """False when the name is taken."""
        ...

    async def intend(self, tx: Tx, bucket: Bucket) -> None:
        """Writes an intent down as what it becomes when it comes to nothing: an unmounted bucket,
        whose purge releases the binding."""
        ...

    async def withdraw(self, tx: Tx, bucket_uid: str) -> bool:
        """Takes an intent back; False when its purge was faster."""
        ...

    async def get(self, tx: Tx, project: str, bucket_id: str) -> Bucket | None: ...

    async def lock(self, tx: Tx, project: str, bucket_id: str) -> Bucket | None: ...

    async def page(self, tx: Tx, project: str, after: str, limit: int) -> list[Bucket]:
        """By bucket id, byte by byte, beginning after ``after``."""
        ...

    async def update(self, tx: Tx, bucket: Bucket) -> None:
        """Writes display name, probe policy, etag and update time."""
        ...

    async def tombstone(self, tx: Tx, bucket: Bucket, now: datetime) -> None: ...

    async def holds(self, tx: Tx, project: str, bucket_id: str, binding: str) -> bool:
        """Whether a mounted bucket of this name lives on this binding."""
        ...

    async def has_tombstone(self, tx: Tx, project: str, bucket_id: str, binding: str) -> bool:
        """Whether an unmounted bucket of this name and binding isn't purged yet."""
        ...

    async def set_health(self, tx: Tx, bucket_uid: str, health: Health) -> None: ...


class ImageStore(Protocol):
    """Images of one bucket, by id or in the order of their keys."""

    async def by_ids(self, tx: Tx, bucket_uid: str, ids: Sequence[str]) -> dict[str, Image]: ...

    async def page(
        self, tx: Tx, bucket_uid: str, prefix: str, after: str, show_excluded: bool, limit: int
    ) -> list[Image]:
        """By key, byte by byte, beginning after ``after``; only keys that begin with ``prefix``."""
        ...

    async def exclude(self, tx: Tx, bucket_uid: str, image_id: str, now: datetime) -> bool:
        """False when there is no such image; excluding twice changes nothing."""
        ...

    async def set_source_state(
        self, tx: Tx, bucket_uid: str, image_id: str, state: SourceState, now: datetime
    ) -> None: ...


class OperationStore(Protocol):
    """Operations and what failed in them."""

    async def insert(self, tx: Tx, new: NewImport) -> None: ...

    async def get(self, tx: Tx, project: str, operation_id: str) -> Operation | None: ...

    async def page(
        self, tx: Tx, project: str, before: str, done: bool | None, limit: int
    ) -> list[Operation]:
        """Newest first, beginning before the id ``before`` ("" for the newest)."""
        ...

    async def count_unfinished(self, tx: Tx, project: str) -> int:
        """Also keeps others from counting this project's operations until the end of ``tx``."""
        ...

    async def request_cancel(self, tx: Tx, project: str, operation_id: str, now: datetime) -> None:
        """Ends it at once when no worker has begun it, else leaves it to the worker."""
        ...

    async def end_for_bucket(self, tx: Tx, bucket_uid: str, now: datetime) -> None:
        """Ends every unfinished operation of an unmounted bucket with BUCKET_DELETED."""
        ...

    async def delete(self, tx: Tx, project: str, operation_id: str) -> None: ...

    async def delete_failures(self, tx: Tx, project: str, operation_id: str, limit: int) -> int:
        """Deletes up to ``limit`` of an operation's failures; how many it deleted."""
        ...

    async def failures(
        self, tx: Tx, project: str, operation_id: str, after: int, limit: int
    ) -> list[tuple[int, ItemFailure]]:
        """Oldest first, each with its number, beginning after the number ``after``."""
        ...


class RequestStore(Protocol):
    """What was asked for under which request id, for 24 hours."""

    async def claim(
        self, tx: Tx, scope: bytes, digest: bytes, operation_id: str, now: datetime
    ) -> tuple[bytes, str]:
        """The digest and operation that stand under ``scope``: these, or an earlier claim's."""
        ...
