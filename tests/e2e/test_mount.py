"""A mount outlives its keys, its store and the processes beneath it."""

import time
from collections.abc import Callable

import grpc
import pytest
from sealmount.channels import Refusal
from sealmount.commands.processes import within
from sealmount.demo.desk import s3
from sealmount.demo.fetching import access_key_of, fetch, origin_of
from sealmount.demo.reader import Reader
from sealmount.demo.stage import MOUNT, Stage, reason, refusal

pytestmark = [pytest.mark.needs("rclone"), pytest.mark.xdist_group("e2e")]
READERS = 4


def some_image(stage: Stage) -> str:
    return next(iter(stage.digests))


def demand(call: Callable[[], object]) -> Refusal:
    found = refusal(call)
    assert found is not None, "it wasn't refused"
    return found


def test_rotating_under_load_fails_no_request_and_leaves_no_old_url(mounted: Stage) -> None:
    desk = mounted.desk
    desk.store("photos-new", mounted.new, [mounted.first.origin])
    readers = [Reader(desk, MOUNT, mounted.digests) for _ in range(READERS)]
    credentials = {"photos-old": mounted.old, "photos-new": mounted.new}
    try:
        for reader in readers:
            reader.start()
        for credential in ("photos-new", "photos-old", "photos-new"):
            desk.rotate(MOUNT, credential)
            returned = time.monotonic()
            looks = [look for reader in readers for look in reader.wait_for(8, returned)]
            expected = {credentials[credential].access_key_id}
            assert {look.access_key_id for look in looks} == expected
            assert len(looks) >= 8 * READERS
    finally:
        for reader in readers:
            reader.stop()
    assert [reader.failures for reader in readers] == [[]] * READERS


def test_moving_to_another_store_and_back_keeps_names_and_bytes(mounted: Stage) -> None:
    desk, names = mounted.desk, list(mounted.digests)
    desk.store("photos-moved", mounted.other, [mounted.second.origin])
    first, second = mounted.first.origin, mounted.second.origin
    moved = desk.rotate(MOUNT, "photos-moved", s3(mounted.second.origin))
    steps = [(moved, second), (desk.roll_back(MOUNT), first), (desk.roll_back(MOUNT), second)]
    numbers = [int(binding.active.name.rpartition("/")[2]) for binding, _ in steps]
    epochs = [binding.active.location_epoch for binding, _ in steps]
    assert numbers == [2, 3, 4]
    assert epochs == sorted(set(epochs))
    outcomes = desk.urls(MOUNT, names)
    assert {origin_of(outcome.url) for outcome in outcomes} == {second}
    assert mounted.intact(mounted.fetch_all()) == len(names)
    assert {image.name for image in desk.images(MOUNT)} == set(names)


def test_a_key_cannot_be_aimed_at_a_store_outside_its_scope(mounted: Stage) -> None:
    found = demand(lambda: mounted.desk.rotate(MOUNT, "photos-old", s3(mounted.second.origin)))
    assert found.reason == "SCOPE_EXCEEDED"
    assert origin_of(mounted.desk.url(some_image(mounted))) == mounted.first.origin


def test_a_revoked_key_is_a_reason_and_its_urls_are_dead(mounted: Stage) -> None:
    name = some_image(mounted)
    url = mounted.desk.url(name)
    assert fetch(url).status == 200
    mounted.first.restart([mounted.new])
    assert fetch(url).status == 403
    found = demand(lambda: mounted.desk.url(name, check_object=True))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STORE_FORBIDDEN")
    mounted.desk.store("photos-new", mounted.new, [mounted.first.origin])
    mounted.desk.rotate(MOUNT, "photos-new")
    healed = mounted.desk.url(name, check_object=True)
    assert access_key_of(healed) == mounted.new.access_key_id
    assert fetch(healed).digest == mounted.digests[name]


def test_a_store_that_goes_away_is_a_reason_until_it_is_back(mounted: Stage) -> None:
    name = some_image(mounted)
    mounted.first.stop()
    found = demand(lambda: mounted.desk.url(name, check_object=True))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNREACHABLE")
    assert fetch(mounted.desk.url(name)).status == 0, "signing itself asks no store"
    mounted.first.start()
    assert fetch(mounted.desk.url(name, check_object=True)).status == 200


def test_an_object_that_is_gone_is_a_reason(mounted: Stage) -> None:
    image = mounted.desk.images(MOUNT)[0]
    path = mounted.first.objects / image.key
    aside = path.rename(mounted.first.folder / "aside")
    try:
        found = demand(lambda: mounted.desk.url(image.name, check_object=True))
    finally:
        aside.rename(path)
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "OBJECT_MISSING")
    assert fetch(mounted.desk.url(image.name, check_object=True)).status == 200


def test_the_catalog_without_its_signer_says_so(mounted: Stage) -> None:
    name = some_image(mounted)
    assert mounted.pair.stop("signer") == 0
    found = demand(lambda: mounted.desk.url(name))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "SIGNER_UNAVAILABLE")
    mounted.pair.launch("signer")
    mounted.pair.ready("signer")
    for _ in within(20, "the Catalog finds its Signer again"):
        if reason(refusal(lambda: mounted.desk.url(name))) == "nothing":
            break
    assert fetch(mounted.desk.url(name)).digest == mounted.digests[name]


def test_what_was_stored_is_there_after_a_restart_of_all(mounted: Stage) -> None:
    names = [image.name for image in mounted.desk.images(MOUNT)]
    assert [mounted.pair.stop(each) for each in ("worker", "catalog", "signer")] == [0, 0, 0]
    mounted.pair.start()
    assert [image.name for image in mounted.desk.images(MOUNT)] == names
    assert mounted.intact(mounted.fetch_all()) == len(names)
