"""Places in a worker: one project's slow stores leave some to everybody else."""

import asyncio
from collections.abc import Iterator

import pytest

from catalog.domain.model import OperationState, Phase
from tests.integration.jobs.harness import PROJECT, House
from tests.integration.jobs.store import SyntheticStore, error, some_keys

HANGING = 6
PER_PROJECT = 4


@pytest.fixture(params=["house", pytest.param("big_house", marks=pytest.mark.needs("postgresql"))])
def any_house(request: pytest.FixtureRequest) -> Iterator[House]:
    found: House = request.getfixturevalue(request.param)
    yield found
    found.project = PROJECT


async def ask_others(house: House, store: SyntheticStore, count: int = HANGING) -> list[str]:
    """Imports of as many buckets of another project, whose store is this one."""
    house.project = "mallory"
    house.signer.set_state(origins={"mallory": store.origin})
    house.origins.append(store.origin)
    asked = []
    for _ in range(count):
        await house.mount()
        asked.append(await house.ask())
    return asked


async def test_hanging_stores_of_one_project_dont_stop_anothers_import(any_house: House) -> None:
    house = any_house
    async with SyntheticStore([]) as hanging, SyntheticStore(some_keys(3_000)) as good:
        hanging.delay = 60.0
        house.origins.append(good.origin)
        asked = await ask_others(house, hanging)
        async with house.working():
            async with asyncio.timeout(20):
                while hanging.open < PER_PROJECT:  # noqa: ASYNC110 - the worker does it
                    await asyncio.sleep(0.05)
            house.project = PROJECT
            await house.serve(good)
            operation = await house.ended(await house.ask(), 10)
            house.project = "mallory"
            phases = [(await house.operation(one)).phase for one in asked]
            for one in asked:
                await house.cancel(one)
    assert operation.progress.created == 3_000
    assert hanging.most_open == PER_PROJECT
    assert phases.count(Phase.QUEUED) == HANGING - PER_PROJECT


async def test_the_limit_of_a_project_holds_across_workers(any_house: House) -> None:
    house = any_house
    async with SyntheticStore([]) as hanging:
        hanging.delay = 60.0
        await ask_others(house, hanging)
        async with house.worker("one"), house.worker("two"):
            async with asyncio.timeout(20):
                while hanging.open < PER_PROJECT:  # noqa: ASYNC110 - the workers do it
                    await asyncio.sleep(0.05)
            await asyncio.sleep(2.0)
    assert hanging.most_open == PER_PROJECT


async def test_a_slow_store_gives_its_place_back_between_tries(house: House) -> None:
    async with SyntheticStore([]) as failing, SyntheticStore(some_keys(3_000)) as good:
        failing.delay = 0.3
        failing.fault = lambda *_: error(500, "InternalError")
        house.origins.append(good.origin)
        (slow,) = await ask_others(house, failing, 1)
        retry = {"slot_seconds": 0.0}
        async with house.working(imports=1, retry=retry):
            async with asyncio.timeout(20):
                while not failing.listings:  # noqa: ASYNC110 - the worker does it
                    await asyncio.sleep(0.02)
            house.project = PROJECT
            await house.serve(good)
            operation = await house.ended(await house.ask(), 10)
            house.project = "mallory"
            meanwhile = await house.operation(slow)
            after = await house.ended(slow)
    assert operation.state is OperationState.SUCCEEDED
    assert not meanwhile.done
    assert after.fault is not None
    assert after.fault.reason == "STORE_UNREACHABLE"
    assert len(failing.listings) == 5


async def test_a_job_that_rests_can_be_cancelled_at_once(house: House) -> None:
    async with SyntheticStore([]) as failing:
        failing.fault = lambda *_: error(500, "InternalError")
        (slow,) = await ask_others(house, failing, 1)
        retry = {"slot_seconds": 0.0, "first_wait": 60.0}
        async with house.working(retry=retry):
            await house.until("SELECT count(*) FROM workflow_status WHERE status = 'DELAYED'", 1)
            await house.cancel(slow)
            assert (await house.operation(slow)).state is OperationState.CANCELLED
    assert len(failing.listings) == 1


async def test_jobs_take_turns_and_lose_nothing(any_house: House) -> None:
    house = any_house
    async with SyntheticStore(some_keys(6_500)) as store:
        await house.serve(store)
        async with house.working(pages_per_step=1, turn_seconds=0.0):
            operation = await house.ended(await house.ask())
    assert operation.progress.listed == operation.progress.created == 6_500
    assert [row.key for row in await house.rows()] == store.keys


async def test_a_bucket_with_a_failed_or_cancelled_import_goes_on_with_the_next(
    any_house: House,
) -> None:
    house = any_house
    async with SyntheticStore(some_keys(2_000)) as store:
        store.fault = lambda _, number: error(403, "AccessDenied") if number <= 2 else None
        await house.serve(store)
        asked = [await house.ask() for _ in range(5)]
        await house.cancel(asked[2])
        async with house.working():
            ended = [await house.ended(one) for one in asked]
            last = await house.ended(await house.ask())
    assert [one.state for one in ended] == [
        OperationState.FAILED,
        OperationState.SUCCEEDED,
        OperationState.CANCELLED,
        OperationState.SUCCEEDED,
        OperationState.SUCCEEDED,
    ]
    assert [one.progress.created for one in ended] == [0, 2_000, 0, 0, 0]
    assert last.progress.existing == 2_000
    assert await house.scalar("SELECT count(*) FROM job_turns") == 0
    assert store.most_open <= 2
