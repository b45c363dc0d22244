"""The storage contract: probing, purging and pages, the same on SQLite and PostgreSQL."""

from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.domain.model import (
    Bucket,
    ImportCounts,
    InfoState,
    SourceState,
    image_id,
)
from catalog.domain.ports import (
    ImageToProbe,
    ListedEntry,
    NewImport,
    PageCounts,
    SourceKind,
)
from catalog.storage import jobs
from catalog.storage.buckets import BucketTable
from catalog.storage.images import ImageTable
from catalog.storage.operations import OperationTable
from serving.database import Database
from tests.fakes.catalog_fakes import NOW, bucket, entry, operation, result

IMAGES = ImageTable()
BUCKETS = BucketTable()
LATER = NOW + timedelta(hours=1)
# What stores can list: any text but NUL, of at most 1,024 bytes.
KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
)


async def listed(
    database: Database, of: Bucket, *entries: ListedEntry, epoch: int = 1, now: datetime = NOW
) -> PageCounts:
    async with database.write() as tx:
        return await jobs.write_listing_page(tx, of.uid, entries, epoch, now)


async def keys_of(database: Database, of: Bucket, prefix: str = "", after: str = "") -> list[str]:
    async with database.read() as tx:
        page = await IMAGES.page(tx, of.uid, prefix, after, False, 1000)
    return [image.key for image in page]


class TestProbing:
    async def _import(self, database: Database, of: Bucket, *keys: str) -> jobs.ImportJob:
        kind = SourceKind.KEYS if keys else SourceKind.LISTING
        async with database.write() as tx:
            new = NewImport(operation(of), kind, "" if keys else "p/", "", tuple(sorted(keys)))
            await OperationTable().insert(tx, new)
            job = await jobs.load_import(tx, "acme", "import-1")
        assert job is not None
        return job

    async def test_a_listing_probes_what_waits_below_its_prefix(
        self, database: Database, mounted: Bucket
    ) -> None:
        await listed(database, mounted, *(entry(k) for k in ("o", "p/1", "p/2", "p/3", "q")))
        await listed(database, mounted, entry("p/..", signable=False))
        job = await self._import(database, mounted)
        async with database.write() as tx:
            await IMAGES.exclude(tx, mounted.uid, image_id(mounted.uid, "p/2"), NOW)
            first = await jobs.images_to_probe(tx, job, "", 1)
            rest = await jobs.images_to_probe(tx, job, first.next_after or "", 5)
        wanted = ImageToProbe("p/1", image_id(mounted.uid, "p/1"), "e", 1, 1)
        assert first == jobs.ProbePage((wanted,), "p/1")
        assert [i.key for i in rest.images] == ["p/3"]
        assert rest.next_after is None

    async def test_names_are_probed_all_of_them(self, database: Database, mounted: Bucket) -> None:
        names = [f"k{n:04}" for n in range(1200)]
        job = await self._import(database, mounted, *names)
        after, seen = "", list[str]()
        async with database.write() as tx:
            while page := await jobs.key_page(tx, "acme", "import-1", after, 1000):
                await jobs.write_named_keys(tx, mounted.uid, page, NOW)
                after = page[-1]
                seen += page
            assert seen == names
            probed = list[str]()
            cursor: str | None = ""
            while cursor is not None:
                chunk = await jobs.images_to_probe(tx, job, cursor, 300)
                probed += [image.key for image in chunk.images]
                cursor = chunk.next_after
        assert probed == names

    async def test_results_are_written_once_and_for_the_bytes_they_are_of(
        self, database: Database, mounted: Bucket
    ) -> None:
        await listed(database, mounted, entry("a"), entry("b"), entry("c"))
        gone = result(
            "b", source_state=SourceState.MISSING, info_state=InfoState.FAILED, version_epoch=0,
            reason="OBJECT_MISSING", media_type="", etag="", size=None,
        )  # fmt: skip
        results = [result("a"), gone, result("c", seen_etag="older"), result("nowhere")]
        async with database.write() as tx:
            counts = await jobs.write_probe_results(tx, mounted.uid, results, LATER)
            page = await IMAGES.page(tx, mounted.uid, "", "", False, 10)
        assert counts == ImportCounts(probed=1, failed=1)
        a, b, c = page
        assert (a.source.version, a.info.media_type) == ("v1", "image/png")
        assert (b.source.state, b.source.etag, b.source.size) == (SourceState.MISSING, "e", 1)
        assert b.info.reason == "OBJECT_MISSING"
        assert c.info.state is InfoState.PENDING

    async def test_a_look_changes_the_state(self, database: Database, mounted: Bucket) -> None:
        await listed(database, mounted, entry("a"), entry("..", signable=False))
        async with database.write() as tx:
            for key in ("a", "..", "none"):
                await IMAGES.set_source_state(
                    tx, mounted.uid, image_id(mounted.uid, key), SourceState.MISSING, LATER
                )
            dots, a = await IMAGES.page(tx, mounted.uid, "", "", False, 10)
        assert (a.source.state, a.source.check_time) == (SourceState.MISSING, LATER)
        assert dots.source.state is SourceState.UNSIGNABLE


class TestPurge:
    async def test_in_chunks_until_nothing_is_left(self, database: Database) -> None:
        made, other = bucket(), bucket(bucket_id="other", uid="b" * 32)
        async with database.write() as tx:
            for one in (made, other):
                await BUCKETS.insert(tx, one)
                await jobs.write_listing_page(tx, one.uid, [entry(k) for k in "abc"], 1, NOW)
            assert await jobs.tombstone(tx, made.uid) is None
            assert await jobs.purge_bucket_chunk(tx, made.uid, 2) == 0  # it is mounted
            await BUCKETS.tombstone(tx, made, NOW)
            assert await jobs.tombstone(tx, made.uid) == jobs.Tombstone(
                made.uid, made.name, made.binding, release=True
            )
            assert [await jobs.purge_bucket_chunk(tx, made.uid, 2) for _ in range(3)] == [2, 1, 0]
            await BUCKETS.insert(tx, bucket(uid="c" * 32))
            found = await jobs.tombstone(tx, made.uid)
            assert found is not None
            assert not found.release
            await jobs.drop_bucket(tx, made.uid)
            await jobs.drop_bucket(tx, other.uid)
            assert await jobs.tombstone(tx, made.uid) is None
        assert await keys_of(database, other) == ["a", "b", "c"]


class TestPaging:
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(keys=st.lists(KEYS, max_size=12), size=st.integers(1, 5), prefix=st.text(max_size=2))
    async def test_pages_are_the_sorted_keys_cut_up(
        self, database: Database, keys: list[str], size: int, prefix: str
    ) -> None:
        prefix = (keys[0][: len(prefix)] if keys else "") if prefix else ""
        made = bucket(bucket_id="h", uid="h" * 32)
        got: list[str] = []
        async with database.engine.connect() as tx:
            await BUCKETS.insert(tx, made)
            await jobs.write_listing_page(tx, made.uid, [entry(k) for k in keys], 1, NOW)
            while page := await IMAGES.page(
                tx, made.uid, prefix, got[-1] if got else "", False, size
            ):
                assert len(page) <= size
                got += [image.key for image in page]
            await tx.rollback()
        wanted = sorted({k for k in keys if k.startswith(prefix)}, key=str.encode)
        assert got == wanted
