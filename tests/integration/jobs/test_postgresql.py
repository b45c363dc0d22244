"""The same jobs on PostgreSQL, where workers come in any number."""

import asyncio

import pytest

from catalog.domain.model import OperationState
from tests.integration.jobs.fake_signer import SIGNATURE
from tests.integration.jobs.harness import House
from tests.integration.jobs.store import SyntheticStore, some_keys

pytestmark = pytest.mark.needs("postgresql")


async def test_a_dead_workers_import_is_taken_over_exactly_once(big_house: House) -> None:
    house = big_house
    async with SyntheticStore(some_keys(16_000)) as store:
        store.delay = 0.02
        await house.serve(store)
        operation_id = await house.ask()
        options = {"dead_after": 1.5, "beat": 0.3, "pages_per_step": 2}
        one = await house.start_worker("one", **options)
        await house.progressed(operation_id, 3_000)
        async with house.worker("two", **options) as two:
            await one.kill()
            await house.progressed(operation_id, 9_000)
            store.delay = 2.0  # where it waits for the store, and holds no row's lock
            await asyncio.sleep(1.0)
            two.pause()
            store.delay = 0.02
            async with house.worker("three", **options):
                await house.progressed(operation_id, 13_000)
                two.wake()
                operation = await house.ended(operation_id)
                await asyncio.sleep(0.5)
    assert operation.state is OperationState.SUCCEEDED
    assert operation.progress.listed == operation.progress.created == 16_000
    assert [row.key for row in await house.rows()] == store.keys
    house.sweep(SIGNATURE)
    for table in ("operation_outputs", "workflow_input", "datasource_outputs"):
        text = await house.scalar(f"SELECT string_agg(t::text, '') FROM catalog_jobs.{table} t")
        assert SIGNATURE not in (text or "")


async def test_an_import_ends_and_a_cancelled_one_ends_soon(big_house: House) -> None:
    house = big_house
    async with SyntheticStore(some_keys(5_000)) as store:
        await house.serve(store)
        async with house.working():
            operation = await house.ended(await house.ask())
            store.delay = 25.0
            cancelled = await house.ask()
            await asyncio.sleep(0.5)
            await house.cancel(cancelled)
            after = await house.ended(cancelled, 5)
    assert operation.progress.created == 5_000
    assert after.state is OperationState.CANCELLED
