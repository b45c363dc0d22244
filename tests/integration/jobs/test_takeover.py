"""Workers that are killed, stopped, replaced and paused in the middle of an import."""

import asyncio
import random
import time

from catalog.domain.model import OperationState
from tests.integration.jobs.fake_signer import SIGNATURE
from tests.integration.jobs.harness import House
from tests.integration.jobs.store import SyntheticStore, some_keys


async def test_a_killed_worker_goes_on_where_it_was_when_it_starts_again(house: House) -> None:
    async with SyntheticStore(some_keys(20_000)) as store:
        store.delay = 0.02
        await house.serve(store)
        operation_id = await house.ask()
        marks = sorted(random.sample(range(1, 18_000), 3))
        for mark in marks:
            worker = await house.start_worker(pages_per_step=2)
            await house.progressed(operation_id, mark)
            await asyncio.sleep(random.uniform(0, 0.1))
            await worker.kill()
        async with house.worker(pages_per_step=2):
            operation = await house.ended(operation_id)
    assert operation.state is OperationState.SUCCEEDED, marks
    assert operation.progress.listed == operation.progress.created == 20_000
    assert [row.key for row in await house.rows()] == store.keys
    # Each kill costs the step in flight and the one that was read ahead, two pages each.
    assert len(store.listings) <= 20 + 4 * len(marks)
    house.sweep(SIGNATURE)


async def test_a_terminated_worker_gives_its_job_back_to_any_other(house: House) -> None:
    async with SyntheticStore(some_keys(12_000)) as store:
        store.delay = 0.02
        await house.serve(store)
        operation_id = await house.ask()
        first = await house.start_worker("one", pages_per_step=2)
        await house.progressed(operation_id, 3_000)
        before = time.monotonic()
        assert await first.stop() == 0
        assert time.monotonic() - before < 5
        assert not (await house.operation(operation_id)).done
        async with house.worker("two", pages_per_step=2):
            operation = await house.ended(operation_id)
    assert operation.progress.created == 12_000


async def test_a_dead_workers_job_is_taken_over(house: House) -> None:
    async with SyntheticStore(some_keys(12_000)) as store:
        store.delay = 0.02
        await house.serve(store)
        operation_id = await house.ask()
        first = await house.start_worker("one", pages_per_step=2)
        async with house.worker("two", dead_after=1.5, beat=0.3, pages_per_step=2):
            await house.progressed(operation_id, 3_000)
            await first.kill()
            operation = await house.ended(operation_id)
    assert operation.progress.created == 12_000
    assert [row.key for row in await house.rows()] == store.keys


async def test_a_paused_worker_that_wakes_up_is_fenced(house: House) -> None:
    async with SyntheticStore(some_keys(12_000)) as store:
        store.delay = 0.03
        await house.serve(store)
        operation_id = await house.ask()
        async with house.worker("one", pages_per_step=2) as first:
            await house.progressed(operation_id, 2_000)
            # Where it waits for the store: stopped within a transaction it would hold SQLite's only
            # write lock, and nobody could go on until it wakes.
            store.delay = 2.0
            await asyncio.sleep(1.0)
            first.pause()
            store.delay = 0.03
            async with house.worker("two", dead_after=1.5, beat=0.3, pages_per_step=2):
                await house.progressed(operation_id, 6_000)
                first.wake()
                operation = await house.ended(operation_id)
                await asyncio.sleep(0.5)
    assert operation.progress.listed == operation.progress.created == 12_000
    assert [row.key for row in await house.rows()] == store.keys
