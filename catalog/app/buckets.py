"""Mounting, looking at, changing and unmounting buckets."""

import asyncio
import contextlib
import contextvars
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from catalog.app.desk import Desk
from catalog.app.refusals import etag_mismatch, invalid_field, not_found
from catalog.domain.model import Bucket, Mode, ProbePolicy
from catalog.domain.names import BucketRef
from catalog.domain.ports import BindingInfo
from catalog.domain.reasons import Reason
from serving.faults import Fault, ForeignFault

T = TypeVar("T")
_UNDOING_SECONDS = 15.0
# Longer than a CreateBucket may last, so that its intent is still there when it gets so far.
_INTENT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class NewBucket:
    """``binding`` is the name of a binding of the same project."""

    ref: BucketRef
    binding: str
    mode: Mode
    probe_policy: ProbePolicy
    display_name: str


@dataclass(frozen=True, slots=True)
class BucketChange:
    """None leaves a field as it is. ``binding`` is only compared: it can't be changed."""

    ref: BucketRef
    etag: str = ""
    display_name: str | None = None
    probe_policy: ProbePolicy | None = None
    binding: str = ""


class Buckets:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._undoing: set[asyncio.Task[None]] = set()

    async def create(self, new: NewBucket) -> Bucket:
        """Mounts a bucket. The binding is held before the bucket is there, never after.

        Before that an intent is written down, so that a hold for which no bucket came to be is
        released whatever happens to the caller, to this process or to the Signer.

        BUCKET_ALREADY_EXISTS, RESOURCE_NOT_FOUND (the binding), BINDING_UNSUITABLE, and the
        Signer's own faults.
        """
        desk, ref = self._desk, new.ref
        async with desk.database.read() as tx:
            if await desk.buckets.get(tx, ref.project, ref.bucket_id) is not None:
                raise _taken(ref)
        _check_suitable(await self._binding(new.binding))
        bucket = self._made(new)
        intent = dataclasses.replace(bucket, uid=desk.random(16))
        async with desk.database.write() as tx:
            await desk.buckets.intend(tx, intent)
            await desk.queue.enqueue_purge(tx, intent.uid, _INTENT_SECONDS)
        try:
            await desk.signer.hold(new.binding, ref.name)
            hold_again = await self._insert(bucket, intent.uid)
        except Exception:
            await asyncio.shield(self._begin_undoing(intent))
            raise
        except BaseException:  # cancelled: nobody waits for an answer
            self._begin_undoing(intent)
            raise
        if hold_again:
            # The purge of an earlier bucket of this name may have released it in between.
            await desk.signer.hold(new.binding, ref.name)
        return bucket

    async def _binding(self, name: str) -> BindingInfo:
        try:
            return await self._desk.signer.binding(name)
        except ForeignFault as fault:
            if fault.reason == Reason.RESOURCE_NOT_FOUND:
                raise not_found(name) from None
            raise

    def _made(self, new: NewBucket) -> Bucket:
        desk, ref = self._desk, new.ref
        now = desk.now()
        return Bucket(
            project=ref.project,
            bucket_id=ref.bucket_id,
            uid=desk.random(16),
            binding=new.binding,
            mode=new.mode,
            probe_policy=new.probe_policy,
            display_name=new.display_name,
            etag=desk.random(8),
            create_time=now,
            update_time=now,
        )

    async def _insert(self, bucket: Bucket, intent_uid: str) -> bool:
        """Whether the hold may have been released meanwhile. BUCKET_ALREADY_EXISTS."""
        buckets, where = self._desk.buckets, (bucket.project, bucket.bucket_id)
        async with self._desk.database.write() as tx:
            if not await buckets.insert(tx, bucket):
                raise _taken(BucketRef(*where))
            withdrawn = await buckets.withdraw(tx, intent_uid)
            return not withdrawn or await buckets.has_tombstone(tx, *where, bucket.binding)

    def _begin_undoing(self, intent: Bucket) -> asyncio.Task[None]:
        # In a context of its own: what is left of the call's deadline may be nothing.
        task = asyncio.create_task(self._undo(intent), context=contextvars.Context())
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)
        return task

    async def _undo(self, intent: Bucket) -> None:
        """At once what the intent's purge would do later, unless something is in the way."""
        ref = BucketRef(intent.project, intent.bucket_id)
        with contextlib.suppress(Fault, TimeoutError):
            async with asyncio.timeout(_UNDOING_SECONDS):
                await self._release(ref, intent.binding)
                async with self._desk.database.write() as tx:
                    await self._desk.buckets.withdraw(tx, intent.uid)

    async def get(self, ref: BucketRef) -> Bucket:
        async with self._desk.database.read() as tx:
            return await self._desk.bucket(tx, ref)

    async def list(self, project: str, after: str, limit: int) -> Sequence[Bucket]:
        """By bucket id, beginning after the id ``after``."""
        async with self._desk.database.read() as tx:
            return await self._desk.buckets.page(tx, project, after, limit)

    async def update(self, change: BucketChange) -> Bucket:
        """RESOURCE_NOT_FOUND, ETAG_MISMATCH. What changes nothing leaves the etag as it is."""
        desk = self._desk
        async with desk.database.write() as tx:
            bucket = await self._locked(tx, change.ref, change.etag)
            if change.binding not in ("", bucket.binding):
                raise invalid_field("bucket.binding", "The binding of a bucket can't be changed.")
            changed = dataclasses.replace(
                bucket,
                display_name=_or(change.display_name, bucket.display_name),
                probe_policy=_or(change.probe_policy, bucket.probe_policy),
            )
            if changed == bucket:
                return bucket
            changed = dataclasses.replace(changed, etag=desk.random(8), update_time=desk.now())
            await desk.buckets.update(tx, changed)
        return changed

    async def delete(self, ref: BucketRef, etag: str, force: bool) -> None:
        """Unmounts: gone at once, with its operations ended and a purge on its way.

        RESOURCE_NOT_FOUND, ETAG_MISMATCH, BUCKET_NOT_EMPTY.
        """
        desk = self._desk
        async with desk.database.write() as tx:
            bucket = await self._locked(tx, ref, etag)
            if bucket.counts.images and not force:
                raise Fault(
                    Reason.BUCKET_NOT_EMPTY,
                    "The bucket has images. Set force to unmount it all the same.",
                    {"images": str(bucket.counts.images)},
                )
            now = desk.now()
            await desk.buckets.tombstone(tx, bucket, now)
            await desk.operations.end_for_bucket(tx, bucket.uid, now)
            await desk.queue.enqueue_purge(tx, bucket.uid)
        # Unmounted it is, whatever the Signer says now: the purge releases the binding again.
        with contextlib.suppress(Fault):
            await self._release(ref, bucket.binding)

    async def _locked(self, tx: object, ref: BucketRef, etag: str) -> Bucket:
        bucket = await self._desk.buckets.lock(tx, ref.project, ref.bucket_id)
        if bucket is None:
            raise not_found(ref.name)
        if etag not in ("", bucket.etag):
            raise etag_mismatch()
        return bucket

    async def _release(self, ref: BucketRef, binding: str) -> None:
        """Unless a bucket of the same name lives on the binding."""
        if await self._lives(ref, binding):
            return
        await self._desk.signer.release(binding, ref.name)
        if await self._lives(ref, binding):  # mounted in between, and its hold is gone
            await self._desk.signer.hold(binding, ref.name)

    async def _lives(self, ref: BucketRef, binding: str) -> bool:
        async with self._desk.database.read() as tx:
            return await self._desk.buckets.holds(tx, ref.project, ref.bucket_id, binding)


def _check_suitable(info: BindingInfo) -> None:
    if info.binding_class != "CUSTOMER" or "READ" not in info.permissions:
        raise Fault(
            Reason.BINDING_UNSUITABLE,
            "The binding must be one of class CUSTOMER with the READ permission.",
            {"binding": info.name},
        )


def _taken(ref: BucketRef) -> Fault:
    return Fault(Reason.BUCKET_ALREADY_EXISTS, "The bucket's name is taken.", {"bucket": ref.name})


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
