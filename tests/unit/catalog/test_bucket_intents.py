"""A hold for which no bucket came to be is released, whatever became of the call."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

from catalog.app.buckets import Buckets, NewBucket
from catalog.domain.model import Bucket, Mode, ProbePolicy
from catalog.domain.names import BucketRef
from catalog.domain.reasons import Reason
from catalog.storage.buckets import BucketTable
from catalog.storage.purge import Tombstone, tombstone
from serving import calls
from serving.faults import Fault
from tests.fakes.catalog_fakes import BINDING, FakeSigner, Stage

REF = BucketRef("acme", "photos")
NEW = NewBucket(REF, BINDING, Mode.LINK, ProbePolicy.HEADERS, "")


class _Stuck(BucketTable):
    """Doesn't get to its end in inserting a bucket."""

    async def insert(self, tx: object, bucket: Bucket) -> bool:
        await asyncio.sleep(60)
        raise AssertionError("nobody cancelled")


def _buckets(stage: Stage, **parts: Any) -> Buckets:
    return Buckets(dataclasses.replace(stage.desk(), **parts))


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")


async def _intent(stage: Stage) -> Tombstone | None:
    (uid,) = stage.queue.intents
    async with stage.database.read() as tx:
        return await tombstone(tx, uid)


async def test_a_deadline_between_hold_and_insert(stage: Stage) -> None:
    late: list[float | None] = []

    class Signer(FakeSigner):
        async def release(self, binding: str, holder: str) -> None:
            with contextlib.suppress(LookupError):
                late.append(calls.deadline())
            await super().release(binding, holder)

    stage.signer = signer = Signer()
    due = time.monotonic() + 0.2
    calls.enter(calls.Call(calls.Caller("spiffe://x/y", "acme", frozenset()), due, "r"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await _buckets(stage, buckets=_Stuck()).create(NEW)
    assert signer.holders == {BINDING: {REF.name}}  # so far it got
    await _until(lambda: signer.holders == {BINDING: set()})
    assert late == []  # what clears up has time of its own


async def test_a_signer_that_is_away_is_asked_again_by_the_purge(stage: Stage) -> None:
    class Signer(FakeSigner):
        async def release(self, binding: str, holder: str) -> None:
            raise Fault(Reason.SIGNER_UNAVAILABLE, "away")

    class Broken(BucketTable):
        async def insert(self, tx: object, bucket: Bucket) -> bool:
            raise Fault(Reason.STORAGE_UNAVAILABLE, "disk full")

    stage.signer = Signer()
    with pytest.raises(Fault) as caught:
        await _buckets(stage, buckets=Broken()).create(NEW)
    assert caught.value.reason == Reason.STORAGE_UNAVAILABLE
    found = await _intent(stage)
    assert found is not None
    assert (found.bucket_name, found.binding, found.release) == (REF.name, BINDING, True)


async def test_the_intent_is_written_before_the_hold(stage: Stage) -> None:
    """What a process leaves that dies while the Signer answers."""

    class Signer(FakeSigner):
        async def hold(self, binding: str, holder: str) -> Any:
            found = await _intent(stage)
            assert found is not None
            assert found.release
            return await super().hold(binding, holder)

    stage.signer = Signer()
    made = await Buckets(stage.desk()).create(NEW)
    assert stage.queue.intents != [made.uid]
    assert await _intent(stage) is None  # taken back, with the insert
    assert stage.queue.purges == []


async def test_whoever_takes_the_name_meanwhile_keeps_the_hold(stage: Stage) -> None:
    class Signer(FakeSigner):
        raced = False

        async def release(self, binding: str, holder: str) -> None:
            if not self.raced:
                self.raced = True
                await Buckets(stage.desk()).create(NEW)
            await super().release(binding, holder)

    class Broken(BucketTable):
        async def insert(self, tx: object, bucket: Bucket) -> bool:
            raise Fault(Reason.STORAGE_UNAVAILABLE, "disk full")

    stage.signer = signer = Signer()
    with pytest.raises(Fault):
        await _buckets(stage, buckets=Broken()).create(NEW)
    assert signer.holders == {BINDING: {REF.name}}
    assert (await Buckets(stage.desk()).get(REF)).binding == BINDING
