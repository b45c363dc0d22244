"""What a store, or time, may not do to the database: fill it."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from aiohttp import web

from catalog.domain.model import ItemFailure, OperationState
from catalog.storage import jobs as records
from serving.database import write_tx
from tests.integration.jobs.harness import House
from tests.integration.jobs.store import SyntheticStore, listing_page, some_keys


def endless(_kind: str, number: int) -> web.Response:
    return listing_page([f"k{number:06}/{i:04}" for i in range(1000)], f"t{number}")


def circle(_kind: str, number: int) -> web.Response:
    return listing_page([f"k{number:06}"], "same")


async def test_a_listing_without_end_stops_at_the_limit(house: House) -> None:
    async with SyntheticStore([]) as store:
        store.fault = endless
        await house.serve(store)
        async with house.working(max_images_per_bucket=7_500):
            operation = await house.ended(await house.ask(), 20)
            named = await house.ended(await house.ask(keys=["one more.jpg"]), 20)
            again = await house.ended(await house.ask(keys=["k000001/0000"]), 20)
    for one in (operation, named):
        assert one.state is OperationState.FAILED
        assert one.fault is not None
        assert one.fault.reason == "IMAGES_LIMIT_REACHED"
        assert one.fault.metadata == {"limit": "7500"}
    assert operation.progress.listed == operation.progress.created == 7_500
    assert named.progress.created == 0
    assert again.progress.existing == 1  # what is there may be looked at as ever
    assert len(await house.rows()) == 7_500
    assert await house.scalar("SELECT images FROM buckets") == 7_500


async def test_a_bucket_may_be_exactly_full(house: House) -> None:
    async with SyntheticStore(some_keys(3_000)) as store:
        await house.serve(store)
        async with house.working(max_images_per_bucket=3_000):
            operation = await house.ended(await house.ask())
            again = await house.ended(await house.ask())
    assert operation.state is again.state is OperationState.SUCCEEDED
    assert again.progress.existing == 3_000


async def test_a_circle_is_noticed_however_often_the_job_is_handed_on(house: House) -> None:
    async with SyntheticStore([]) as store:
        store.fault = circle
        await house.serve(store)
        async with house.working(pages_per_step=1, steps_per_workflow=1):
            operation = await house.ended(await house.ask(), 20)
    assert operation.fault is not None
    assert operation.fault.reason == "STORE_BROKEN"
    assert len(store.listings) < 10


async def test_what_ended_long_ago_is_forgotten_with_all_that_belongs_to_it(house: House) -> None:
    async with SyntheticStore(some_keys(10)) as store:
        await house.serve(store)
        async with house.working():
            ended = [(await house.ended(await house.ask())).operation_id for _ in range(3)]
            await house.until("SELECT count(*) FROM workflow_status WHERE status = 'SUCCESS'", 3)
        now = datetime.now(UTC)
        failure = ItemFailure("k", "", "OBJECT_MISSING", "", 404, "", now)
        long_ago = int((now - timedelta(days=8)).timestamp() * 1_000_000)
        async with write_tx(house.engine) as tx:
            for one in ended:
                await records.add_failures(tx, house.project, one, [failure] * 3_000)
            old = sa.text("UPDATE operations SET end_time = :end WHERE operation_id <> :last")
            await tx.execute(old, {"end": long_ago, "last": ended[-1]})
            done = "UPDATE workflow_status SET completed_at = completed_at - 7200000"
            await tx.execute(sa.text(done))
            left = (
                "INSERT INTO datasource_outputs (workflow_id, step_id, created_at) "
                "SELECT workflow_uuid, 1, 0 FROM workflow_status"
            )
            await tx.execute(sa.text(left))
        async with house.working(beat_seconds=0.1, operation_retention=timedelta(days=7)):
            await house.until("SELECT count(*) FROM operations", 1, 20)
            await house.until("SELECT count(*) FROM workflow_status", 0, 20)
    assert (await house.operation(ended[-1])).done
    assert await house.scalar("SELECT count(*) FROM operation_failures") == 3_000
    for table in ("operation_outputs", "workflow_input", "datasource_outputs", "job_attempts"):
        assert await house.scalar(f"SELECT count(*) FROM {table}") == 0
