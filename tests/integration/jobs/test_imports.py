"""Imports on SQLite: what is listed, what is named, and what a store can do to them."""

import asyncio
import time

import pytest
from aiohttp import web

from catalog.domain.model import HealthState, OperationState, Phase, SourceState
from catalog.storage.buckets import BucketTable
from catalog.storage.images import ImageTable
from catalog.storage.operations import OperationTable
from serving.database import read_tx, write_tx
from tests.integration.jobs.fake_signer import SIGNATURE
from tests.integration.jobs.harness import PROJECT, House
from tests.integration.jobs.store import SyntheticStore, error, listing_page, some_keys


async def test_twenty_thousand_keys_are_imported_exactly_once(house: House) -> None:
    async with SyntheticStore(some_keys(20_000)) as store:
        await house.serve(store)
        async with house.worker():
            operation = await house.ended(await house.ask())
            again = await house.ended(await house.ask())
    assert operation.fault is None
    assert operation.state is OperationState.SUCCEEDED
    assert operation.progress.listed == operation.progress.created == 20_000
    assert again.progress.existing == 20_000
    assert [row.key for row in await house.rows()] == store.keys
    assert len(store.listings) == 40
    house.sweep(SIGNATURE, "X-Amz-Signature", "echoed")


async def test_a_long_listing_goes_on_in_workflows_of_its_own(house: House) -> None:
    async with SyntheticStore(some_keys(12_500)) as store:
        await house.serve(store)
        operation_id = await house.ask()
        async with house.working(pages_per_step=1, steps_per_workflow=4):
            operation = await house.ended(operation_id)
    assert operation.progress.created == 12_500
    assert len(store.listings) >= 13
    segments = await house.scalar("SELECT count(*) FROM workflow_status WHERE name = 'imports'")
    assert segments == 4


async def test_a_cancelled_job_ends_soon_and_keeps_what_it_wrote(house: House) -> None:
    async with SyntheticStore(some_keys(20_000)) as store:
        await house.serve(store)
        async with house.working(pages_per_step=2):
            operation_id = await house.ask()
            await house.progressed(operation_id, 2_000)
            store.delay = 25.0  # in the middle of a request that takes its time
            await asyncio.sleep(0.3)
            before = time.monotonic()
            await house.cancel(operation_id)
            operation = await house.ended(operation_id)
            assert time.monotonic() - before < 2
    assert operation.state is OperationState.CANCELLED
    assert operation.fault is not None
    assert operation.fault.reason == "OPERATION_CANCELLED"
    assert len(await house.rows()) == operation.progress.created >= 2_000


async def test_an_unmounted_bucket_ends_its_job_and_is_purged(house: House) -> None:
    async with SyntheticStore(some_keys(30_000)) as store:
        store.delay = 0.02
        await house.serve(store)
        async with house.working(purge_chunk=1000):
            operation_id = await house.ask()
            await house.progressed(operation_id, 5_000)
            await house.unmount()
            operation = await house.ended(operation_id)
            await house.until("SELECT count(*) FROM images", 0)
            await house.until("SELECT count(*) FROM buckets", 0)
    assert operation.state is OperationState.FAILED
    assert operation.fault is not None
    assert operation.fault.reason == "BUCKET_DELETED"
    released = house.signer.state()["released"]
    assert released == [[house.bucket.binding, house.bucket.name]]


async def test_excluded_images_stay_excluded_until_they_are_named(house: House) -> None:
    async with SyntheticStore(some_keys(50), {"photos/0000001.jpg": b"GIF89a"}) as store:
        await house.serve(store)
        async with house.working():
            await house.ended(await house.ask())
            row = (await house.rows())[1]
            async with write_tx(house.engine) as tx:
                found = await ImageTable().page(tx, house.bucket.uid, row.key, "", True, 1)
                image_id = found[0].image_id
                await ImageTable().exclude(tx, house.bucket.uid, image_id, found[0].create_time)
            again = await house.ended(await house.ask())
            assert again.progress.excluded == 1
            assert [row.key for row in await house.rows() if row.excluded] == [row.key]
            named = await house.ended(await house.ask(keys=[row.key, "photos/none.jpg"]))
    assert named.state is OperationState.SUCCEEDED
    assert not any(row.excluded for row in await house.rows())
    assert named.progress.listed == 2
    assert named.progress.failed == 1
    async with read_tx(house.engine) as tx:
        failures = await OperationTable().failures(tx, PROJECT, named.operation_id, 0, 10)
    assert [(one.key, one.reason, one.http_status) for _, one in failures] == [
        ("photos/none.jpg", "OBJECT_MISSING", 404)
    ]
    states = {row.key: row.source_state for row in await house.rows()}
    assert states["photos/none.jpg"] == SourceState.MISSING
    assert states["photos/0000001.jpg"] == SourceState.AVAILABLE


async def test_folders_are_passed_over_and_unsignable_keys_are_counted(house: House) -> None:
    keys = ["p/", "p/a.jpg", "p/../b.jpg", "p/./c", "p/new\nline", "other/d.jpg", "p/e/"]
    async with SyntheticStore(keys) as store:
        await house.serve(store)
        async with house.working():
            operation = await house.ended(await house.ask(prefix="p/"))
    assert operation.fault is None
    assert operation.progress.listed == 4
    assert operation.progress.unsignable == 3
    rows = await house.rows()
    assert {row.key for row in rows if row.source_state == SourceState.UNSIGNABLE} == {
        "p/../b.jpg",
        "p/./c",
        "p/new\nline",
    }


async def test_a_moved_binding_starts_the_listing_again(house: House) -> None:
    async with SyntheticStore(some_keys(10_000)) as old, SyntheticStore(some_keys(6_000)) as new:
        old.delay = 0.05
        await house.serve(old)
        house.origins.append(new.origin)
        async with house.working(pages_per_step=1):
            operation_id = await house.ask()
            await house.progressed(operation_id, 3_000)
            house.signer.set_state(origin=new.origin, epoch=2)
            operation = await house.ended(operation_id)
    assert operation.state is OperationState.SUCCEEDED
    assert operation.progress.listed == 6_000
    assert operation.progress.created == len(await house.rows()) >= 6_000
    assert new.listings[0] == ""
    assert {row.version_epoch for row in (await house.rows())[:6_000]} == {2}


async def test_what_fails_for_a_while_is_tried_again(house: House) -> None:
    async with SyntheticStore(some_keys(3_000)) as store:
        statuses = {1: (500, "InternalError"), 3: (503, "SlowDown"), 4: (503, "SlowDown")}
        store.fault = lambda _, number: error(*statuses[number]) if number in statuses else None
        await house.serve(store)
        async with house.working():
            operation = await house.ended(await house.ask())
            house.signer.set_state(away=True)
            later = await house.ask()
            await asyncio.sleep(0.5)
            assert not (await house.operation(later)).done
            house.signer.set_state(away=False)
            after = await house.ended(later)
    assert operation.progress.created == 3_000
    assert after.state is OperationState.SUCCEEDED


def loop(_kind: str, number: int) -> web.Response:
    return listing_page([f"k{number:05}-{i}" for i in range(3)], "same")


@pytest.mark.parametrize(
    ("fault", "reason", "health"),
    [
        (lambda *_: error(403, "AccessDenied"), "STORE_FORBIDDEN", HealthState.FORBIDDEN),
        (lambda *_: error(404, "NoSuchBucket"), "OBJECT_MISSING", HealthState.BROKEN),
        (lambda *_: error(500, "InternalError"), "STORE_UNREACHABLE", HealthState.UNREACHABLE),
        (lambda *_: error(503, "SlowDown"), "STORE_THROTTLED", HealthState.UNREACHABLE),
        (lambda *_: error(301, "PermanentRedirect"), "STORE_BROKEN", HealthState.BROKEN),
        (loop, "STORE_BROKEN", HealthState.BROKEN),
    ],
)
async def test_a_store_that_fails_for_good_is_named_in_the_fault(
    house: House, fault: object, reason: str, health: HealthState
) -> None:
    async with SyntheticStore(some_keys(10)) as store:
        store.fault = fault  # type: ignore[assignment]
        await house.serve(store)
        async with house.working():
            operation = await house.ended(await house.ask())
    assert operation.state is OperationState.FAILED
    assert operation.phase is Phase.DONE
    assert operation.fault is not None
    assert operation.fault.reason == reason
    async with read_tx(house.engine) as tx:
        bucket = await BucketTable().get(tx, PROJECT, house.bucket.bucket_id)
    assert bucket is not None
    assert (bucket.health.state, bucket.health.reason) == (health, reason)


async def test_a_store_that_isnt_there_and_one_that_may_not_be_asked(house: House) -> None:
    async with SyntheticStore(some_keys(10)) as store:
        await house.serve(store)
    async with SyntheticStore(some_keys(10)) as other, house.working():
        gone = await house.ended(await house.ask())
        house.signer.set_state(origin=other.origin)
        refused = await house.ended(await house.ask())
    assert gone.fault is not None
    assert gone.fault.reason == "STORE_UNREACHABLE"
    assert refused.fault is not None
    assert refused.fault.reason == "STORE_ADDRESS_REFUSED"
    assert not other.listings


async def test_imports_of_one_bucket_wait_for_each_other(house: House) -> None:
    async with SyntheticStore(some_keys(4_000)) as store:
        store.delay = 0.05
        await house.serve(store)
        first = await house.ask()
        second = await house.ask()
        async with house.working(pages_per_step=1):
            before = await house.ended(first)
            after = await house.ended(second)
    assert before.progress.created == after.progress.existing == 4_000
    assert store.listings == ["", "t1000", "t2000", "t3000"] * 2
