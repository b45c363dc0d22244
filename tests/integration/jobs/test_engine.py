"""What must hold of the job database itself: one transaction, no pickles, no endless attempts."""

import base64
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from catalog.domain.model import OperationState
from catalog.jobs.engine import PickleRefused, harden, serializer
from catalog.jobs.tables import attempts
from catalog.jobs.workers import OnlyOne, Roster, WorkerRunning
from catalog.storage.operations import OperationTable
from serving.database import write_tx
from tests.integration.jobs.harness import PROJECT, House
from tests.integration.jobs.store import SyntheticStore, some_keys


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


async def test_operation_and_queue_entry_are_one(house: House) -> None:
    await house.mount()
    new = house.new_import()

    async def ask_and_fail() -> None:
        async with write_tx(house.engine) as tx:
            await OperationTable().insert(tx, new)
            operation_id = new.operation.operation_id
            await house.queue.enqueue_import(tx, PROJECT, operation_id, house.bucket.uid)
            raise RuntimeError("forced")

    with pytest.raises(RuntimeError, match="forced"):
        await ask_and_fail()
    assert await house.scalar("SELECT count(*) FROM operations") == 0
    assert await house.scalar("SELECT count(*) FROM workflow_status") == 0
    await house.ask()
    assert await house.scalar("SELECT count(*) FROM operations") == 1
    assert await house.scalar("SELECT count(*) FROM workflow_status") == 1


async def test_a_row_marked_as_pickle_is_refused_and_nothing_runs(house: House) -> None:
    made = house.folder / "made-by-a-pickle"
    evil = base64.b64encode(pickle.dumps(Payload(made))).decode()
    async with SyntheticStore(some_keys(3_000)) as store:
        await house.serve(store)
        operation_id = await house.ask()
        async with write_tx(house.engine) as tx:
            marked = "UPDATE workflow_status SET serialization = 'py_pickle'"
            await tx.execute(sa.text(marked))
            await tx.execute(sa.text("UPDATE workflow_input SET inputs = :evil"), {"evil": evil})
        async with house.working(beat_seconds=0.1):
            operation = await house.ended(operation_id)
            unharmed = await house.ended(await house.ask())
    assert operation.state is OperationState.FAILED
    assert operation.fault is not None
    assert operation.fault.reason == "INTERNAL"
    assert unharmed.state is OperationState.SUCCEEDED
    assert not made.exists()
    pickle.loads(base64.b64decode(evil))
    assert made.exists()  # the payload would have worked


def test_no_codec_of_the_engine_pickles_any_more() -> None:
    import dbos._serialization as codecs

    harden()
    evil = base64.b64encode(pickle.dumps([1])).decode()
    for decode in (
        codecs.deserialize_value,
        codecs.deserialize_args,
        codecs.deserialize_exception,
    ):
        with pytest.raises(PickleRefused):
            decode(evil, "py_pickle", serializer())
    assert codecs.DBOSDefaultSerializer.serialize([1]) == "refused"


async def test_a_job_that_never_gets_on_is_given_up(house: House) -> None:
    async with SyntheticStore(some_keys(10)) as store:
        await house.serve(store)
        operation_id = await house.ask()
        workflow = f"{PROJECT}/{operation_id}/1"
        async with write_tx(house.engine) as tx:
            await tx.execute(sa.insert(attempts).values(workflow_id=workflow, attempts=5))
        async with house.working():
            operation = await house.ended(operation_id)
    assert operation.fault is not None
    assert operation.fault.reason == "INTERNAL"
    assert not store.listings
    assert await house.scalar("SELECT count(*) FROM job_attempts") == 0


async def test_the_signers_refusal_is_passed_on_under_its_own_domain(house: House) -> None:
    async with SyntheticStore(some_keys(10)) as store:
        await house.serve(store)
        house.signer.set_state(refuses="CREDENTIAL_DISABLED")
        async with house.working():
            refused = await house.ended(await house.ask())
            house.signer.set_state(refuses="", away=True)
            away = await house.ended(await house.ask())
    assert refused.fault is not None
    assert (refused.fault.domain, refused.fault.reason) == (
        "signer.sealmount.dev",
        "CREDENTIAL_DISABLED",
    )
    assert away.fault is not None
    assert (away.fault.domain, away.fault.reason) == ("", "SIGNER_UNAVAILABLE")


def test_two_workers_of_one_name_dont_share_a_file(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"
    first, second = OnlyOne(url, "worker"), OnlyOne(url, "worker")
    first.take()
    with pytest.raises(WorkerRunning):
        second.take()
    OnlyOne(url, "other").take()
    first.release()
    second.take()
    second.release()


async def test_one_dead_worker_is_claimed_by_one_live_worker(house: House) -> None:
    dead, one, two = (Roster(house.engine, name, 0.2) for name in ("dead", "one", "two"))
    await dead.beat()
    await one.beat()
    await two.beat()
    assert await one.claim_dead() is None
    async with write_tx(house.engine) as tx:
        await tx.execute(sa.text("UPDATE job_workers SET beat_at = 0 WHERE worker_id = 'dead'"))
    assert await one.claim_dead() == "dead"
    assert await two.claim_dead() is None
    await dead.beat()  # it was only paused
    await one.bury("dead")
    assert await house.scalar("SELECT count(*) FROM job_workers") == 3
