"""Starting imports: once per request id, at most a hundred, and never half."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from catalog.app.buckets import Buckets, NewBucket
from catalog.app.imports import MAX_UNFINISHED, ImportRequest, Imports
from catalog.app.operations import Operations
from catalog.domain.model import Mode, OperationState, Phase, ProbePolicy
from catalog.domain.names import BucketRef, OperationRef
from catalog.domain.ports import SourceKind
from catalog.domain.reasons import Reason
from catalog.storage import jobs
from serving.faults import Fault
from tests.fakes.catalog_fakes import BINDING, NOW, Stage

REF = BucketRef("acme", "photos")
ID = "6f1d0c52-a7b3-4e08-9f3a-2f0d8c3c1b11"
REQUEST = ImportRequest(REF, SourceKind.LISTING, "raw/", (), ID, "user-7")
WHO = "spiffe://example.org/annotation"


@pytest.fixture
async def imports(stage: Stage) -> Imports:
    desk = stage.desk()
    await Buckets(desk).create(NewBucket(REF, BINDING, Mode.LINK, ProbePolicy.HEADERS, ""))
    return Imports(desk)


async def test_writes_and_enqueues(stage: Stage, imports: Imports) -> None:
    made = await imports.start(WHO, REQUEST)
    assert (made.state, made.phase, made.bucket_name) == (
        OperationState.RUNNING,
        Phase.QUEUED,
        REF.name,
    )
    assert stage.queue.imports == [("acme", made.operation_id, made.bucket_uid)]
    found = await Operations(stage.desk()).get(OperationRef("acme", made.operation_id))
    assert found == made


async def test_keys_are_sorted_by_their_bytes_and_kept_once(stage: Stage, imports: Imports) -> None:
    keys = ("b", "ü", "a", "\uffff", "😀", "b")
    request = dataclasses.replace(REQUEST, source=SourceKind.KEYS, keys=keys, prefix="")
    made = await imports.start(WHO, request)
    async with stage.database.read() as tx:
        found = await jobs.key_page(tx, "acme", made.operation_id, "", 10)
    assert found == ["a", "b", "ü", "\uffff", "😀"]


async def test_the_same_request_again_is_the_same_operation(stage: Stage, imports: Imports) -> None:
    first = await imports.start(WHO, REQUEST)
    stage.now = NOW + timedelta(hours=23)
    assert await imports.start(WHO, REQUEST) == first
    assert len(stage.queue.imports) == 1
    stage.now = NOW + timedelta(hours=25)
    assert await imports.start(WHO, REQUEST) != first


async def test_at_once_too(stage: Stage, imports: Imports) -> None:
    made = await asyncio.gather(*(imports.start(WHO, REQUEST) for _ in range(5)))
    assert len({one.operation_id for one in made}) == 1
    assert len(stage.queue.imports) == 1


@pytest.mark.parametrize(
    "change", [{"prefix": "x/"}, {"on_behalf_of": "user-8"}, {"source": SourceKind.KEYS}]
)
async def test_another_request_under_the_id_is_refused(
    imports: Imports, change: dict[str, str]
) -> None:
    await imports.start(WHO, REQUEST)
    with pytest.raises(Fault) as caught:
        await imports.start(WHO, dataclasses.replace(REQUEST, **change))  # type: ignore[arg-type]
    assert caught.value.reason == Reason.REQUEST_ID_REUSED


async def test_another_caller_has_ids_of_its_own(imports: Imports) -> None:
    first = await imports.start(WHO, REQUEST)
    second = await imports.start("spiffe://example.org/other", REQUEST)
    assert first.operation_id != second.operation_id


async def test_another_bucket_of_the_name_is_another_resource(
    stage: Stage, imports: Imports
) -> None:
    first = await imports.start(WHO, REQUEST)
    buckets = Buckets(stage.desk())
    await buckets.delete(REF, "", force=True)
    new = NewBucket(REF, BINDING, Mode.LINK, ProbePolicy.HEADERS, "")
    stage.now = NOW + timedelta(seconds=1)
    await buckets.create(new)
    assert await imports.start(WHO, REQUEST) != first


async def test_a_deleted_operation_is_not_made_again(stage: Stage, imports: Imports) -> None:
    first = await imports.start(WHO, REQUEST)
    operations = Operations(stage.desk())
    ref = OperationRef("acme", first.operation_id)
    await operations.cancel(ref)
    await operations.delete(ref)
    with pytest.raises(Fault) as caught:
        await imports.start(WHO, REQUEST)
    assert caught.value.reason == Reason.RESOURCE_NOT_FOUND


async def test_a_hundred_unfinished_and_no_more(stage: Stage, imports: Imports) -> None:
    plain = dataclasses.replace(REQUEST, request_id="")
    made = [await imports.start(WHO, plain) for _ in range(MAX_UNFINISHED)]
    with pytest.raises(Fault) as caught:
        await imports.start(WHO, plain)
    assert caught.value.reason == Reason.OPERATIONS_LIMIT_REACHED
    assert caught.value.metadata == {"limit": "100"}
    await Operations(stage.desk()).cancel(OperationRef("acme", made[0].operation_id))
    await imports.start(WHO, plain)


async def test_a_queue_that_fails_leaves_no_row(stage: Stage, imports: Imports) -> None:
    stage.queue.fault = Fault(Reason.STORAGE_UNAVAILABLE, "disk full")
    with pytest.raises(Fault, match="disk full"):
        await imports.start(WHO, REQUEST)
    stage.queue.fault = None
    assert await Operations(stage.desk()).list("acme", None, "", 10) == []
    await imports.start(WHO, REQUEST)  # the request id wasn't spent


async def test_no_bucket(imports: Imports) -> None:
    elsewhere = dataclasses.replace(REQUEST, bucket=BucketRef("acme", "none"))
    with pytest.raises(Fault) as caught:
        await imports.start(WHO, elsewhere)
    assert caught.value.reason == Reason.RESOURCE_NOT_FOUND


async def test_no_caller_and_no_request_stands_in_the_table(stage: Stage, imports: Imports) -> None:
    await imports.start(WHO, REQUEST)
    async with stage.database.read() as tx:
        rows = (await tx.exec_driver_sql("SELECT * FROM requests")).all()
    text = repr(rows)
    assert len(rows) == 1
    assert not any(one in text for one in (WHO, ID, "raw/", "user-7"))
