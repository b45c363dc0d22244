"""How pages become batches, and where a listing goes on."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st

from catalog.app.keys import is_signable, is_storable
from catalog.domain.ports import Signer, Terms
from catalog.jobs.faults import JobStopped
from catalog.jobs.listing import Batch, ListingOf, ListingReader, Position, _relative
from catalog.jobs.retry import RetryPolicy
from catalog.remote.guarded import StoreHttp, StoreResponse
from catalog.remote.listing import ListedObject, ListingPage


class ScriptedStore:
    """Signer and HTTP client in one: pages by what they were asked to go on after."""

    def __init__(self, pages: Mapping[str, tuple[Sequence[str], str]], prefix: str = "") -> None:
        self.pages = pages
        self.prefix = prefix
        self.epoch = 1
        self.asked: list[str] = []

    async def listing_url(
        self, _binding: str, _prefix: str, start_after: str, token: str, _for: str
    ) -> tuple[Terms, str, str]:
        now = datetime.now(UTC)
        terms = Terms("GET", {}, now, now, "revisions/1", self.epoch)
        return terms, token or f">{start_after}", self.prefix

    async def fetch(self, _method: str, url: str, _headers: Any, **_: Any) -> StoreResponse:
        self.asked.append(url)
        keys, token = self.pages[url]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>1</Size></Contents>" for key in keys
        )
        more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
        body = (
            f"<ListBucketResult><IsTruncated>{'true' if token else 'false'}</IsTruncated>"
            f"{more}{items}</ListBucketResult>"
        )
        return StoreResponse(200, {}, body.encode())


def reader(store: ScriptedStore, pages: int = 2) -> ListingReader:
    both = cast("Any", store)
    what = ListingOf(
        "b", "", "", cast("Signer", both), cast("StoreHttp", both), RetryPolicy(), pages
    )
    return ListingReader(what)


async def read_all(store: ScriptedStore, position: Position | None = None) -> list[Batch]:
    listing = reader(store)
    batches: list[Batch] = []
    try:
        following: Position | None = position or Position()
        while following is not None and not (batches and batches[-1].stopped):
            batches.append(await listing.take(following))
            following = batches[-1].next
    finally:
        await listing.close()
    return batches


def keys_of(batches: Sequence[Batch]) -> list[str]:
    return [entry.key for batch in batches for entry in batch.entries]


IN_ORDER = {">": (["a", "b"], "t1"), "t1": (["c"], "t2"), "t2": (["d", "e"], "")}


async def test_a_listing_in_order_goes_on_after_its_last_key() -> None:
    store = ScriptedStore(IN_ORDER)
    batches = await read_all(store)
    assert keys_of(batches) == ["a", "b", "c", "d", "e"]
    assert batches[0].next is not None
    told = batches[0].next.to_json()
    assert (told["after"], told["token"], told["ordered"], told["epoch"]) == ("c", "", True, 1)
    assert store.asked == [">", "t1", "t2"]


async def test_a_resumed_listing_asks_for_what_comes_after() -> None:
    store = ScriptedStore({">c": (["d", "e"], "")})
    position = Position.from_json({"after": "c", "token": "", "ordered": True, "epoch": 1})
    assert keys_of(await read_all(store, position)) == ["d", "e"]


async def test_a_listing_out_of_order_goes_on_by_its_token() -> None:
    pages = {">": (["b", "a"], "t1"), "t1": (["z"], "t2"), "t2": (["c"], "t3"), "t3": (["y"], "")}
    batches = await read_all(ScriptedStore(pages))
    assert keys_of(batches) == ["b", "a", "z", "c", "y"]
    assert batches[0].next is not None
    told = batches[0].next.to_json()
    assert (told["ordered"], told["token"]) == (False, "t2")
    resumed = await read_all(ScriptedStore(pages), Position.from_json(told))
    assert keys_of(resumed) == ["c", "y"]


async def test_a_circle_is_noticed() -> None:
    pages = {">": (["a"], "t1"), "t1": (["b"], "t2"), "t2": (["c"], "t1")}
    batches = await read_all(ScriptedStore(pages))
    assert batches[-1].stopped is not None
    assert batches[-1].stopped.fault is not None
    assert batches[-1].stopped.fault.reason == "STORE_BROKEN"


async def test_a_circle_is_noticed_by_readers_that_each_see_a_part_of_it() -> None:
    pages = {">": (["z", "a"], "t1"), "t1": (["b"], "t2"), "t2": (["c"], "t1")}
    position, batch = Position(), Batch()
    for _ in range(20):
        listing = reader(ScriptedStore(pages), pages=1)
        batch = await listing.take(Position.from_json(json.loads(json.dumps(position.to_json()))))
        await listing.close()
        if batch.next is None or batch.stopped:
            break
        position = batch.next
    assert batch.stopped is not None
    assert batch.stopped.fault is not None
    assert batch.stopped.fault.reason == "STORE_BROKEN"
    assert position.pages >= 3


async def test_another_location_starts_the_listing_again() -> None:
    store = ScriptedStore(IN_ORDER)
    store.epoch = 2
    listing = reader(store)
    batch = await listing.take(Position("a", "", True, 1))
    await listing.close()
    assert batch.moved
    assert not batch.entries


async def test_the_locations_prefix_is_taken_off_and_folders_are_passed_over() -> None:
    pages = {">": (["in/", "in/a/", "in/a/b.jpg", "in/../c"], "")}
    (batch,) = await read_all(ScriptedStore(pages, prefix="in/"))
    assert [(entry.key, entry.signable) for entry in batch.entries] == [
        ("a/b.jpg", True),
        ("../c", False),
    ]


async def test_pages_before_a_failure_are_kept() -> None:
    class Failing(ScriptedStore):
        async def fetch(self, _method: str, url: str, _headers: Any, **_: Any) -> StoreResponse:
            if url == "t1":
                return StoreResponse(200, {}, b"<html>")
            return await super().fetch(_method, url, _headers)

    (batch,) = await read_all(Failing(IN_ORDER))
    assert [entry.key for entry in batch.entries] == ["a", "b"]
    assert isinstance(batch.stopped, JobStopped)


KEYS = st.lists(st.text("aé/.\n\0 ", min_size=1, max_size=6), min_size=1, max_size=8)


@given(KEYS)
def test_the_look_at_a_whole_page_agrees_with_a_look_at_each_key(keys: list[str]) -> None:
    objects = tuple(ListedObject(key, 1, "", None, "") for key in keys)
    page = ListingPage(objects, truncated=False, next_token=None)
    wanted = [(key, is_signable(key)) for key in keys if is_storable(key) and not key.endswith("/")]
    assert [(entry.key, entry.signable) for entry in _relative(page, "")] == wanted
