"""Imports that look into what they listed: real images, objects that can't be read, rates."""

import io
from collections.abc import Sequence

from PIL import Image

from catalog.domain.model import InfoState, ItemFailure, OperationState, ProbePolicy, SourceState
from catalog.storage.operations import OperationTable
from serving.database import read_tx
from tests.integration.jobs.fake_signer import SIGNATURE
from tests.integration.jobs.harness import PROJECT, House
from tests.integration.jobs.store import SyntheticStore, error


def picture(kind: str, width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(out, kind)
    return out.getvalue()


async def failures(house: House, operation_id: str) -> Sequence[ItemFailure]:
    async with read_tx(house.engine) as tx:
        found = await OperationTable().failures(tx, PROJECT, operation_id, 0, 1000)
    return [failure for _, failure in found]


async def test_images_are_looked_into_and_each_failure_is_its_own(house: House) -> None:
    objects = {f"in/{n:03}.png": picture("PNG", 10 + n, 20) for n in range(30)}
    objects["in/a.jpg"] = picture("JPEG", 640, 480)
    objects["in/b.webp"] = picture("WEBP", 33, 44)
    objects["in/text.txt"] = b"no image at all"
    async with SyntheticStore(["in/gone.jpg"], objects) as store:
        await house.serve(store, ProbePolicy.HEADERS, prefix="in/")
        async with house.working(probe_batch=10):
            operation = await house.ended(await house.ask())
            again = await house.ended(await house.ask())
    assert operation.state is OperationState.SUCCEEDED
    assert operation.progress.listed == operation.probe_total == 34
    assert (operation.progress.probed, operation.progress.failed) == (33, 1)
    rows = {row.key: row for row in await house.rows()}
    jpeg = rows["a.jpg"]
    assert (jpeg.media_type, jpeg.width, jpeg.height) == ("image/jpeg", 640, 480)
    assert (rows["b.webp"].width, rows["b.webp"].height) == (33, 44)
    assert rows["007.png"].width == 17
    assert jpeg.version == "v-e8"
    assert rows["text.txt"].info_state == InfoState.NOT_AN_IMAGE
    assert rows["gone.jpg"].source_state == SourceState.MISSING
    assert [(one.key, one.reason) for one in await failures(house, operation.operation_id)] == [
        ("gone.jpg", "OBJECT_MISSING")
    ]
    # What was looked into and hasn't changed isn't looked into again.
    assert again.probe_total == 1
    house.sweep(SIGNATURE, "X-Amz-Signature", "echoed")


async def test_one_broken_image_is_tried_again_and_fails_alone(house: House) -> None:
    objects = {f"{n}.png": picture("PNG", 5, 5) for n in range(5)}
    async with SyntheticStore([], objects) as store:
        store.fault = lambda kind, _: (
            error(503, "SlowDown") if kind == "get" and store.reads[-1] == "3.png" else None
        )
        await house.serve(store, ProbePolicy.HEADERS)
        async with house.working():
            operation = await house.ended(await house.ask())
    assert operation.state is OperationState.SUCCEEDED
    assert (operation.progress.probed, operation.progress.failed) == (4, 1)
    assert store.reads.count("3.png") == 3
    (failure,) = await failures(house, operation.operation_id)
    assert (failure.reason, failure.http_status, failure.provider_code) == (
        "STORE_THROTTLED",
        503,
        "SlowDown",
    )


async def test_a_store_that_answers_nothing_any_more_fails_the_job(house: House) -> None:
    objects = {f"{n}.png": b"x" for n in range(20)}
    async with SyntheticStore([], objects) as store:
        store.fault = lambda kind, _: error(500, "InternalError") if kind == "get" else None
        await house.serve(store, ProbePolicy.HEADERS)
        async with house.working():
            operation = await house.ended(await house.ask())
    assert operation.state is OperationState.FAILED
    assert operation.fault is not None
    assert operation.fault.reason == "STORE_UNREACHABLE"
    assert operation.progress.listed == 20
    assert operation.progress.failed == 0


async def test_named_keys_are_looked_at_in_pages(house: House) -> None:
    objects = {f"k/{n:05}.png": picture("PNG", 7, 9) for n in range(0, 1500, 2)}
    named = [f"{n:05}.png" for n in range(1500)] + ["../up.png"]
    async with SyntheticStore([], objects) as store:
        await house.serve(store, ProbePolicy.HEADERS, prefix="k/")
        async with house.working(probes_per_second=5000):
            operation = await house.ended(await house.ask(keys=named))
    assert not store.listings
    assert operation.state is OperationState.SUCCEEDED
    assert operation.progress.listed == operation.progress.created == 1501
    assert operation.progress.probed == 750
    rows = await house.rows()
    assert [row.width for row in rows if row.source_state == SourceState.AVAILABLE] == [7] * 750
    assert sum(row.source_state == SourceState.MISSING for row in rows) == 750
    assert sum(row.source_state == SourceState.UNSIGNABLE for row in rows) == 1


async def test_a_batch_that_takes_longer_than_its_urls_live_is_signed_for_again(
    house: House,
) -> None:
    objects = {f"{n:02}.png": picture("PNG", 5, 5) for n in range(20)}
    async with SyntheticStore([], objects) as store:
        store.delay = 0.1
        await house.serve(store, ProbePolicy.HEADERS)
        house.signer.set_state(lifetime=0.5)
        async with house.working(probe_concurrency=1):
            operation = await house.ended(await house.ask())
    assert operation.state is OperationState.SUCCEEDED
    assert (operation.progress.probed, operation.progress.failed) == (20, 0)


async def test_a_slow_batch_ends_with_the_jobs_turn_and_goes_on_later(house: House) -> None:
    objects = {f"{n:02}.png": picture("PNG", 5, 5) for n in range(20)}
    async with SyntheticStore([], objects) as store:
        await house.serve(store, ProbePolicy.HEADERS)
        store.delay = 0.1
        async with house.working(probe_concurrency=2, turn_seconds=0.25):
            operation = await house.ended(await house.ask())
    assert (operation.progress.probed, operation.progress.failed) == (20, 0)
    assert store.reads == sorted(objects)
    segments = await house.scalar("SELECT count(*) FROM workflow_status WHERE name = 'imports'")
    assert segments >= 3
