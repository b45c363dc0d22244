"""The storage contract: listed and named images, the same on SQLite and PostgreSQL.

The fixture ``mounted`` compares the bucket's counts with the rows when the test is over.
"""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from catalog.domain.model import (
    Bucket,
    ImportCounts,
    Info,
    InfoState,
    ProbePolicy,
    image_id,
)
from catalog.domain.ports import (
    ListedEntry,
    PageCounts,
)
from catalog.storage import jobs
from catalog.storage.buckets import BucketTable
from catalog.storage.images import ImageTable
from catalog.storage.tables import images
from serving.database import Database
from tests.fakes.catalog_fakes import NOW, bucket, entry, result

IMAGES = ImageTable()
BUCKETS = BucketTable()
LATER = NOW + timedelta(hours=1)
ODD_KEYS = [
    "a", "a ", "A", "a/b", "a//b", "a\u0301", "\u00e1", "a+b", "a%2Fb", "a?b#c", "~", "\u2028",
    "ü", "\ud7ff", "\ue000", "\uffff", "😀", "\U0010ffff", "\t", "..", "./x",
    "'; --", "_", "%", "\\",
]  # fmt: skip


async def listed(
    database: Database, of: Bucket, *entries: ListedEntry, epoch: int = 1, now: datetime = NOW
) -> PageCounts:
    async with database.write() as tx:
        return await jobs.write_listing_page(tx, of.uid, entries, epoch, now)


async def keys_of(database: Database, of: Bucket, prefix: str = "", after: str = "") -> list[str]:
    async with database.read() as tx:
        page = await IMAGES.page(tx, of.uid, prefix, after, False, 1000)
    return [image.key for image in page]


class TestListing:
    async def test_new_entries(self, database: Database, mounted: Bucket) -> None:
        counts = await listed(
            database, mounted, entry("b"), entry("a"), entry("..", signable=False)
        )
        assert counts == PageCounts(listed=3, created=3, unsignable=1, to_probe=2)
        async with database.read() as tx:
            page = await IMAGES.page(tx, mounted.uid, "", "", False, 10)
            found = await IMAGES.by_ids(tx, mounted.uid, [i.image_id for i in page])
        assert [i.key for i in page] == ["..", "a", "b"]
        assert [i.source.state for i in page] == ["UNSIGNABLE", "AVAILABLE", "AVAILABLE"]
        assert [i.info.state for i in page] == ["SKIPPED", "PENDING", "PENDING"]
        assert [i.image_id for i in page] == [image_id(mounted.uid, k) for k in ("..", "a", "b")]
        assert found == {i.image_id: i for i in page}
        assert (page[1].source.size, page[1].source.etag, page[1].source.check_time) == (
            1,
            "e",
            NOW,
        )

    async def test_again_is_existing_and_nothing_is_doubled(
        self, database: Database, mounted: Bucket
    ) -> None:
        page = [entry(key) for key in ODD_KEYS]
        first = await listed(database, mounted, *page)
        again = await listed(database, mounted, *page, now=LATER)
        assert (first.created, again.created, again.existing) == (len(page), 0, len(page))
        assert again.to_probe == len(page)  # nobody has looked into them yet
        async with database.read() as tx:
            found = await IMAGES.page(tx, mounted.uid, "", "", True, 1000)
        assert [i.key for i in found] == sorted(ODD_KEYS, key=str.encode)
        assert {i.source.check_time for i in found} == {LATER}
        assert {i.update_time for i in found} == {NOW}

    async def test_doubles_in_a_page_count_once(self, database: Database, mounted: Bucket) -> None:
        counts = await listed(database, mounted, entry("a", "1"), entry("a", "2"))
        assert counts == PageCounts(listed=2, created=1, existing=1, to_probe=1)
        assert await listed(database, mounted) == PageCounts()

    async def test_other_bytes_are_looked_into_anew(
        self, database: Database, mounted: Bucket
    ) -> None:
        await listed(database, mounted, entry("a"), entry("b"))
        async with database.write() as tx:
            await jobs.write_probe_results(tx, mounted.uid, [result("a"), result("b")], NOW)
        counts = await listed(database, mounted, entry("a"), entry("b", "new"), now=LATER)
        assert counts == PageCounts(listed=2, existing=2, to_probe=1)
        async with database.read() as tx:
            same, other = await IMAGES.page(tx, mounted.uid, "", "", False, 10)
        assert same.info == Info(InfoState.PROBED, "", "image/png", 3, 2, 1)
        assert (same.source.version, same.update_time) == ("v1", NOW)
        assert other.info == Info(InfoState.PENDING)
        assert (other.source.version, other.source.etag, other.update_time) == ("", "new", LATER)

    async def test_a_move_keeps_what_was_read_and_drops_the_version(
        self, database: Database, mounted: Bucket
    ) -> None:
        await listed(database, mounted, entry("a"))
        async with database.write() as tx:
            await jobs.write_probe_results(tx, mounted.uid, [result("a")], NOW)
        assert (await listed(database, mounted, entry("a"), epoch=2)).to_probe == 0
        async with database.read() as tx:
            (found,) = await IMAGES.page(tx, mounted.uid, "", "", False, 10)
        assert (found.source.version, found.source.version_epoch) == ("", 2)
        assert found.info.width == 3

    async def test_failed_and_skipped_ones_get_another_look(
        self, database: Database, mounted: Bucket
    ) -> None:
        await listed(database, mounted, entry("a"))
        failed = result("a", info_state=InfoState.FAILED, reason="STORE_FORBIDDEN")
        async with database.write() as tx:
            got = await jobs.write_probe_results(tx, mounted.uid, [failed], NOW)
        assert got == ImportCounts(failed=1)
        assert (await listed(database, mounted, entry("a"))).to_probe == 1

    async def test_no_probing_under_the_policy_none(self, database: Database) -> None:
        made = bucket(probe_policy=ProbePolicy.NONE)
        async with database.write() as tx:
            await BUCKETS.insert(tx, made)
        assert (await listed(database, made, entry("a"))).to_probe == 0
        async with database.write() as tx:
            counts = await jobs.write_named_keys(tx, made.uid, ["a", "b"], NOW)
        assert counts == PageCounts(listed=2, created=1, existing=1)

    async def test_excluded_ones_stay_so(self, database: Database, mounted: Bucket) -> None:
        await listed(database, mounted, entry("a"), entry("b"))
        async with database.write() as tx:
            assert await IMAGES.exclude(tx, mounted.uid, image_id(mounted.uid, "a"), LATER)
            assert await IMAGES.exclude(tx, mounted.uid, image_id(mounted.uid, "a"), LATER)
            assert not await IMAGES.exclude(tx, mounted.uid, image_id(mounted.uid, "x"), LATER)
            assert not await IMAGES.exclude(tx, mounted.uid, "no-id", LATER)
        counts = await listed(database, mounted, entry("a", "new"), entry("b"))
        assert counts == PageCounts(listed=2, existing=1, excluded=1, to_probe=1)
        assert await keys_of(database, mounted) == ["b"]

    @pytest.mark.parametrize("key", ["a\0b", "", "x" * 1025, "é" * 513])
    async def test_keys_that_no_database_keeps(
        self, database: Database, mounted: Bucket, key: str
    ) -> None:
        with pytest.raises(ValueError, match="can't be kept"):
            await listed(database, mounted, entry("a"), entry(key))
        assert await keys_of(database, mounted) == []

    async def test_the_longest_key_is_kept(self, database: Database, mounted: Bucket) -> None:
        longest = "😀" * 256
        await listed(database, mounted, entry(longest))
        assert await keys_of(database, mounted) == [longest]

    async def test_sparse_pages_find_their_rows(self, database: Database, mounted: Bucket) -> None:
        for page in range(3):
            await listed(database, mounted, *(entry(f"{page}/{n:04}") for n in range(700)))
        counts = await listed(database, mounted, entry("0/0000"), entry("1/x"), entry("2/0699"))
        assert (counts.existing, counts.created) == (2, 1)

    async def test_an_unmounted_bucket_gets_nothing(self, database: Database) -> None:
        made = bucket()
        async with database.write() as tx:
            await BUCKETS.insert(tx, made)
            await BUCKETS.tombstone(tx, made, NOW)
        assert await listed(database, made, entry("a")) == PageCounts(gone=True)
        async with database.write() as tx:
            assert (await jobs.write_named_keys(tx, made.uid, ["a"], NOW)).gone
            assert await tx.scalar(sa.select(sa.func.count()).select_from(images)) == 0


class TestNamed:
    async def test_names_bring_back_and_make(self, database: Database, mounted: Bucket) -> None:
        await listed(database, mounted, entry("a"), entry("b"), entry("../c", signable=False))
        async with database.write() as tx:
            await IMAGES.exclude(tx, mounted.uid, image_id(mounted.uid, "a"), NOW)
            counts = await jobs.write_named_keys(
                tx, mounted.uid, ["a", "b", "new", "new", "../c", "x/.."], LATER
            )
        assert counts == PageCounts(listed=6, created=2, existing=4, unsignable=2, to_probe=3)
        async with database.read() as tx:
            page = await IMAGES.page(tx, mounted.uid, "", "", False, 10)
        assert {i.key: i.source.state.value for i in page} == {
            "../c": "UNSIGNABLE", "a": "AVAILABLE", "b": "AVAILABLE", "new": "UNKNOWN",
            "x/..": "UNSIGNABLE",
        }  # fmt: skip


class TestLimit:
    async def test_new_images_are_left_out_and_known_ones_are_not(
        self, database: Database, mounted: Bucket
    ) -> None:
        await listed(database, mounted, entry("b"), entry("c"))
        async with database.write() as tx:
            found = await IMAGES.page(tx, mounted.uid, "", "", False, 1)
            await IMAGES.exclude(tx, mounted.uid, found[0].image_id, NOW)
        async with database.write() as tx:
            entries = [entry(key) for key in "abcde"]
            counts = await jobs.write_listing_page(tx, mounted.uid, entries, 1, LATER, 3)
            named = await jobs.write_named_keys(tx, mounted.uid, ["b", "z"], LATER, 3)
        assert counts.full
        assert named.full
        assert (counts.created, counts.existing, counts.excluded) == (1, 1, 1)
        assert (named.created, named.existing) == (0, 1)
        assert await keys_of(database, mounted) == ["a", "b", "c"]
