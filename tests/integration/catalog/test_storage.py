"""The storage contract: buckets, operations and request ids, the same on SQLite and PostgreSQL."""

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from catalog.domain.model import (
    Bucket,
    Health,
    HealthState,
    ImportCounts,
    ItemFailure,
    Operation,
    OperationFault,
    OperationState,
    Phase,
    ProbePolicy,
)
from catalog.domain.ports import NewImport, SourceKind
from catalog.domain.reasons import Reason
from catalog.storage import jobs
from catalog.storage.buckets import BucketTable
from catalog.storage.operations import OperationTable
from catalog.storage.requests import RequestTable
from catalog.storage.schema import VERSION_TABLE, is_migrated, migrate
from catalog.storage.tables import metadata
from serving.database import Database, DatabaseError, create_engine
from serving.faults import Fault
from tests.fakes.catalog_fakes import NOW, bucket, operation

BUCKETS = BucketTable()
OPERATIONS = OperationTable()


async def _mounted(database: Database, **changes: object) -> Bucket:
    made = bucket(**changes)
    async with database.write() as tx:
        assert await BUCKETS.insert(tx, made)
    return made


async def _begun(database: Database, of: Bucket, **changes: object) -> Operation:
    made = operation(of, **changes)
    async with database.write() as tx:
        await OPERATIONS.insert(tx, NewImport(made, SourceKind.LISTING, "raw/", "user-1"))
    return made


class TestSchema:
    async def test_migrations_make_what_the_tables_say(self, database: Database) -> None:
        def differences(connection: Connection) -> list[object]:
            options = {"compare_type": True, "version_table": VERSION_TABLE}
            context = MigrationContext.configure(connection, opts=options)
            return list(compare_metadata(context, metadata))

        async with database.read() as tx:
            assert await tx.run_sync(differences) == []

    async def test_migrating_twice_changes_nothing(self, database_url: str) -> None:
        assert await is_migrated(database_url)
        await migrate(database_url)
        assert await is_migrated(database_url)

    async def test_an_empty_database_is_not_migrated(self, tmp_path: Path) -> None:
        assert not await is_migrated(f"sqlite+aiosqlite:///{tmp_path}/empty.db")

    async def test_sqlite_files_are_private(self, tmp_path: Path) -> None:
        path = tmp_path / "private.db"
        await migrate(f"sqlite+aiosqlite:///{path}")
        assert path.stat().st_mode & 0o777 == 0o600


class TestDatabase:
    async def test_errors_carry_no_words_of_the_driver(self, database: Database) -> None:
        with pytest.raises((Fault, DatabaseError)) as caught:
            async with database.write() as tx:
                await tx.execute(sa.text("INSERT INTO nowhere VALUES (:v)"), {"v": "sesame"})
        assert "sesame" not in repr(caught.value)
        assert "nowhere" not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    async def test_a_database_that_is_gone_is_unavailable(self) -> None:
        gone = Database(
            create_engine("postgresql+psycopg://nobody@/x?host=/nowhere-at-all"),
            lambda: Fault(Reason.STORAGE_UNAVAILABLE, "gone"),
        )
        with pytest.raises(Fault) as caught:
            async with gone.read() as tx:
                await tx.execute(sa.select(1))
        assert caught.value.reason == Reason.STORAGE_UNAVAILABLE

    async def test_rolls_back(self, database: Database) -> None:
        async def refused() -> None:
            async with database.write() as tx:
                await BUCKETS.insert(tx, bucket())
                raise Fault(Reason.ETAG_MISMATCH, "no")

        with pytest.raises(Fault, match="no"):
            await refused()
        async with database.read() as tx:
            assert await BUCKETS.get(tx, "acme", "photos") is None

    @pytest.mark.parametrize("url", ["", "sqlite:///x", "mysql://x", "sqlite+aiosqlite://", "%"])
    def test_refuses_other_urls(self, url: str) -> None:
        with pytest.raises(ValueError, match="URL must"):
            create_engine(url)


class TestBuckets:
    async def test_round_trip(self, database: Database) -> None:
        made = await _mounted(database, display_name="Fotos ☀", probe_policy=ProbePolicy.NONE)
        async with database.read() as tx:
            assert await BUCKETS.get(tx, "acme", "photos") == made
            assert await BUCKETS.lock(tx, "acme", "photos") == made
            assert await BUCKETS.get(tx, "other", "photos") is None

    async def test_a_name_is_taken_until_it_is_unmounted(self, database: Database) -> None:
        first = await _mounted(database)
        async with database.write() as tx:
            assert not await BUCKETS.insert(tx, bucket(uid="b" * 32))
        async with database.write() as tx:
            await BUCKETS.tombstone(tx, first, NOW)
            assert await BUCKETS.get(tx, "acme", "photos") is None
            assert not await BUCKETS.holds(tx, "acme", "photos", first.binding)
            assert await BUCKETS.insert(tx, bucket(uid="b" * 32))
            assert await BUCKETS.holds(tx, "acme", "photos", first.binding)
            assert not await BUCKETS.holds(tx, "acme", "photos", first.binding + "2")

    async def test_pages_by_name(self, database: Database) -> None:
        for name in ("b", "a-b", "a", "ab", "z9"):
            await _mounted(database, bucket_id=name, uid=name)
        await _mounted(database, project="other", uid="other")
        async with database.read() as tx:
            first = await BUCKETS.page(tx, "acme", "", 3)
            rest = await BUCKETS.page(tx, "acme", first[-1].bucket_id, 3)
        assert [b.bucket_id for b in first] == ["a", "a-b", "ab"]
        assert [b.bucket_id for b in rest] == ["b", "z9"]

    async def test_update_and_health(self, database: Database) -> None:
        made = await _mounted(database)
        health = Health(HealthState.FORBIDDEN, Reason.STORE_FORBIDDEN, NOW)
        changed = dataclasses.replace(
            made, display_name="x", probe_policy=ProbePolicy.NONE, etag="e2", health=health
        )
        async with database.write() as tx:
            await BUCKETS.update(tx, changed)
            await jobs.set_health(tx, made.uid, health)
            assert await BUCKETS.get(tx, "acme", "photos") == changed


class TestOperations:
    async def test_round_trip(self, database: Database) -> None:
        made = await _begun(database, await _mounted(database))
        async with database.read() as tx:
            assert await OPERATIONS.get(tx, "acme", made.operation_id) == made
            assert await OPERATIONS.get(tx, "other", made.operation_id) is None
            job = await jobs.load_import(tx, "acme", made.operation_id)
        assert job is not None
        assert (job.source, job.prefix, job.on_behalf_of) == (SourceKind.LISTING, "raw/", "user-1")
        assert (job.binding, job.probe, job.stop) == ("projects/acme/bindings/cam", True, False)

    async def test_pages_newest_first(self, database: Database) -> None:
        of = await _mounted(database)
        for number in range(5):
            await _begun(database, of, operation_id=f"import-{number}")
        async with database.write() as tx:
            await jobs.finish(tx, "acme", "import-3", OperationState.SUCCEEDED, None, NOW)
        async with database.read() as tx:
            first = await OPERATIONS.page(tx, "acme", "", None, 2)
            rest = await OPERATIONS.page(tx, "acme", first[-1].operation_id, False, 9)
            done = await OPERATIONS.page(tx, "acme", "", True, 9)
            assert await OPERATIONS.count_unfinished(tx, "acme") == 4
            assert await OPERATIONS.count_unfinished(tx, "other") == 0
        assert [o.operation_id for o in first] == ["import-4", "import-3"]
        assert [o.operation_id for o in rest] == ["import-2", "import-1", "import-0"]
        assert [o.operation_id for o in done] == ["import-3"]

    async def test_progress_adds_up_until_the_end(self, database: Database) -> None:
        made = await _begun(database, await _mounted(database))
        fault = OperationFault(Reason.STORE_BROKEN, "It broke.", "", {"http_status": "200"})
        args = "acme", made.operation_id
        async with database.write() as tx:
            await jobs.set_phase(tx, *args, Phase.PROBING, NOW)
            await jobs.add_progress(tx, *args, ImportCounts(listed=5, created=3), NOW, to_probe=3)
            await jobs.add_progress(tx, *args, ImportCounts(listed=2, failed=1), NOW)
            assert await jobs.finish(tx, *args, OperationState.FAILED, fault, NOW)
        async with database.write() as tx:
            await jobs.add_progress(tx, *args, ImportCounts(listed=100), NOW)
            await jobs.set_phase(tx, *args, Phase.LISTING, NOW)
            assert not await jobs.finish(tx, *args, OperationState.SUCCEEDED, None, NOW)
            found = await OPERATIONS.get(tx, *args)
        assert found is not None
        assert found.progress == ImportCounts(listed=7, created=3, failed=1)
        assert (found.state, found.phase) == (OperationState.FAILED, Phase.DONE)
        assert (found.probe_total, found.fault, found.end_time) == (3, fault, NOW)

    async def test_cancel_ends_what_waits_and_asks_what_runs(self, database: Database) -> None:
        of = await _mounted(database)
        await _begun(database, of, operation_id="import-a")
        await _begun(database, of, operation_id="import-b")
        async with database.write() as tx:
            await jobs.set_phase(tx, "acme", "import-b", Phase.LISTING, NOW)
            for name in ("import-a", "import-b"):
                assert not await jobs.should_stop(tx, "acme", name)
                await OPERATIONS.request_cancel(tx, "acme", name, NOW)
                assert await jobs.should_stop(tx, "acme", name)
            waiting = await OPERATIONS.get(tx, "acme", "import-a")
            runs = await OPERATIONS.get(tx, "acme", "import-b")
        assert waiting is not None
        assert waiting.state is OperationState.CANCELLED
        assert waiting.fault is not None
        assert waiting.fault.reason == Reason.OPERATION_CANCELLED
        assert runs is not None
        assert (runs.state, runs.cancel_requested) == (OperationState.RUNNING, True)

    async def test_unmounting_ends_all(self, database: Database) -> None:
        of = await _mounted(database)
        made = await _begun(database, of)
        async with database.write() as tx:
            await BUCKETS.tombstone(tx, of, NOW)
            assert await jobs.should_stop(tx, "acme", made.operation_id)
            await OPERATIONS.end_for_bucket(tx, of.uid, NOW)
            found = await OPERATIONS.get(tx, "acme", made.operation_id)
        assert found is not None
        assert found.fault is not None
        assert found.fault.reason == Reason.BUCKET_DELETED

    async def test_failures_page_and_go_with_the_operation(self, database: Database) -> None:
        made = await _begun(database, await _mounted(database))
        args = "acme", made.operation_id
        failed = [
            ItemFailure(f"k{n}\u2028☀", "", Reason.OBJECT_MISSING, "Gone.", 404, "NoSuchKey", NOW)
            for n in range(5)
        ]
        async with database.write() as tx:
            await jobs.add_failures(tx, *args, failed[:2])
            await jobs.add_failures(tx, *args, [])
            await jobs.add_failures(tx, *args, failed[2:])
            first = await OPERATIONS.failures(tx, *args, 0, 3)
            rest = await OPERATIONS.failures(tx, *args, first[-1][0], 3)
            assert [f for _, f in first + rest] == failed
            assert await OPERATIONS.delete_failures(tx, *args, 4) == 4
            assert await OPERATIONS.delete_failures(tx, *args, 4) == 1
            await OPERATIONS.delete(tx, *args)
            assert await OPERATIONS.get(tx, *args) is None
            assert await jobs.load_import(tx, *args) is None
            assert await jobs.should_stop(tx, *args)


class TestRequests:
    async def test_the_first_claim_stands_for_a_day(self, database: Database) -> None:
        claim = RequestTable().claim
        later, too_late = NOW + timedelta(hours=23), NOW + timedelta(hours=24)
        async with database.write() as tx:
            assert await claim(tx, b"s", b"1", "import-1", NOW) == (b"1", "import-1")
            assert await claim(tx, b"t", b"2", "import-2", NOW) == (b"2", "import-2")
            assert await claim(tx, b"s", b"9", "import-9", later) == (b"1", "import-1")
        async with database.write() as tx:
            assert await claim(tx, b"s", b"9", "import-9", too_late) == (b"9", "import-9")

    async def test_two_at_once_agree(self, database: Database) -> None:
        async def one(name: str) -> tuple[bytes, str]:
            async with database.write() as tx:
                return await RequestTable().claim(tx, b"s", name.encode(), name, NOW)

        answers = await asyncio.gather(*(one(f"import-{n}") for n in range(6)))
        assert len(set(answers)) == 1
