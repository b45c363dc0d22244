"""Killed in the middle, or asked to go in the middle: nothing is lost and nothing is doubled."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from sealmount.catalog.v1 import resources_pb2 as catalog
from sealmount.catalog.v1 import service_pb2 as mounting
from sealmount.commands.deployment import Deployment
from sealmount.commands.pair import Pair, free_port
from sealmount.commands.processes import within
from sealmount.demo import pictures
from sealmount.demo.desk import Desk, s3
from sealmount.demo.fetching import fetch
from sealmount.demo.stage import MOUNT, reason, refusal
from sealmount.demo.stores import Key

from tests.e2e.slowstore import SlowStore

pytestmark = pytest.mark.xdist_group("e2e")
LISTED = 20_000
PROBED = 300
_PROJECTS = count(1)


@dataclass(frozen=True)
class Running:
    store: SlowStore
    pair: Pair
    desk: Desk

    def mount(self, *, probe: bool) -> None:
        self.desk.bind(MOUNT, "key", s3(self.store.origin))
        self.desk.mount(MOUNT, MOUNT, probe=probe)

    def progress(self, operation: str) -> mounting.ImportImagesMetadata:
        metadata = mounting.ImportImagesMetadata()
        self.desk.operation(operation).metadata.Unpack(metadata)
        return metadata

    def finish(self, operation: str) -> mounting.ImportImagesResponse:
        for _ in within(120, "the import ends"):
            found = self.desk.operation(operation)
            if found.done:
                break
        result = mounting.ImportImagesResponse()
        assert found.response.Unpack(result), found.error
        return result

    def restart_worker(self) -> None:
        self.pair.launch("worker")
        self.pair.ready("worker")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SlowStore, Key, Pair]]:
    key = Key.random()
    with SlowStore(key) as store:
        folder = tmp_path_factory.mktemp("processes") / "state"
        deployment = Deployment(folder, free_port(), free_port(), (store.origin,))
        deployment.prepare()
        with Pair(deployment) as pair:
            yield store, key, pair


@pytest.fixture
def running(pair: tuple[SlowStore, Key, Pair]) -> Iterator[Running]:
    """A project with a stored key and an empty bucket; all three processes run."""
    store, key, processes = pair
    store.reset()
    for name in ("signer", "catalog", "worker"):
        processes.revive(name)
    with Desk(processes.deployment, f"project-{next(_PROJECTS)}") as desk:
        desk.store("key", key, [store.origin])
        yield Running(store, processes, desk)


def fill(store: SlowStore, count: int) -> list[str]:
    keys = [f"{number % 7}/image {number:06}.jpg" for number in range(count)]
    for key in keys:
        store.bucket.put(key, b"x")
    return sorted(keys)


def await_listed(running: Running, operation: str) -> int:
    """Waits until the listing is under way, and says how far."""
    for _ in within(60, "the first images are listed"):
        listed = running.progress(operation).progress.listed
        if listed:
            break
    return int(listed)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_import_that_is_cut_off_while_listing_ends_with_the_right_rows(
    running: Running, end: str
) -> None:
    keys = fill(running.store, LISTED)
    running.mount(probe=False)
    running.store.listing = 0.3
    operation = running.desk.start_import(MOUNT)
    assert 0 < await_listed(running, operation) < LISTED
    getattr(running.pair, end)("worker")
    assert not running.desk.operation(operation).done
    running.store.listing = 0.0
    running.restart_worker()
    result = running.finish(operation)
    images = running.desk.images(MOUNT)
    assert [image.key for image in images] == keys
    assert len({image.name for image in images}) == LISTED
    assert (result.listed, result.created, result.existing) == (LISTED, LISTED, 0)


def test_an_import_that_is_killed_while_probing_probes_each_image_once(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "drawn").mkdir()
    sample = pictures.draw(tmp_path / "drawn")[0]
    content = (tmp_path / "drawn" / sample).read_bytes()
    for number in range(PROBED):
        running.store.bucket.put(f"{number:03}.jpg", content)
    running.mount(probe=True)
    running.store.reading = 0.3
    operation = running.desk.start_import(MOUNT)
    for _ in within(60, "the first images are probed"):
        probed = running.progress(operation).progress.probed
        if probed:
            break
    assert probed < PROBED
    running.pair.kill("worker")
    running.store.reading = 0.0
    running.restart_worker()
    result = running.finish(operation)
    states = Counter(image.info.state for image in running.desk.images(MOUNT))
    assert states == {catalog.ImageInfo.STATE_PROBED: PROBED}
    assert (result.probed, result.failed) == (PROBED, 0)


def test_a_server_that_is_asked_to_go_finishes_what_it_began(running: Running) -> None:
    running.store.bucket.put("a.jpg", b"bytes")
    running.mount(probe=False)
    running.finish(running.desk.start_import(MOUNT))
    (image,) = running.desk.images(MOUNT)
    running.store.reading = 2.0
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(running.desk.url, image.name, check_object=True)
        stopped = pool.submit(_stop_soon, running)
        assert stopped.result(30) == 0
        running.store.reading = 0.0
        assert fetch(slow.result(30)).body == b"bytes"
    assert reason(refusal(lambda: running.desk.url(image.name))) == "UNAVAILABLE"


def _stop_soon(running: Running) -> int | None:
    """Stops the Catalog once the slow request has reached the store."""
    for _ in within(10, "the store is asked"):
        if running.store.asked("a.jpg"):
            break
    return running.pair.stop("catalog")


def test_a_pair_that_loses_a_process_says_which(running: Running) -> None:
    running.pair.child("worker").kill()
    with pytest.raises(RuntimeError, match="worker ended with exit code -9"):
        running.pair.check()
