"""Intents: the purge of a bucket that never came to be releases its binding, and no other."""

import dataclasses
import uuid

from catalog.domain.model import Bucket
from catalog.storage.buckets import BucketTable
from serving.database import write_tx
from tests.integration.jobs.harness import House

_SOON = 1.0


async def _intend(house: House, like: Bucket, bucket_id: str) -> Bucket:
    intent = dataclasses.replace(like, uid=uuid.uuid4().hex, bucket_id=bucket_id)
    async with write_tx(house.engine) as tx:
        await BucketTable().intend(tx, intent)
        await house.queue.enqueue_purge(tx, intent.uid, _SOON)
    return intent


async def test_what_a_dead_process_held_is_released(house: House) -> None:
    house.signer.set_state(origin="https://store.test", prefix="")
    mounted = await house.mount()
    await _intend(house, mounted, mounted.bucket_id)
    lost = await _intend(house, mounted, "lost")
    withdrawn = await _intend(house, mounted, "done")
    async with write_tx(house.engine) as tx:
        assert await BucketTable().withdraw(tx, withdrawn.uid)
        assert not await BucketTable().withdraw(tx, withdrawn.uid)
        assert not await BucketTable().withdraw(tx, mounted.uid)
    async with house.working():
        await house.until("SELECT count(*) FROM buckets", 1)
        await house.until("SELECT count(*) FROM buckets WHERE delete_time IS NULL", 1)
    assert house.signer.state()["released"] == [[lost.binding, lost.name]]
