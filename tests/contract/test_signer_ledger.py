"""The ledger's contract, the same on both databases."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from serving.faults import Fault
from signer.domain.bindings import RevisionState
from signer.domain.credentials import CredentialState
from signer.domain.ports import LedgerChange, RequestKey
from signer.domain.reasons import Reason
from signer.storage import tables
from tests.fakes.signer_databases import NOW, Store, bound, credential

REQUEST = RequestKey(b"caller-1/Rotate/b/id", b"digest")


@asynccontextmanager
async def refused(reason: Reason) -> AsyncIterator[None]:
    with pytest.raises(Fault) as caught:
        yield
    assert caught.value.reason == reason


async def test_migrations_make_what_the_tables_say(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "version_table": "signer_schema"}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, tables.metadata))

    async with store.database.read() as conn:
        assert await conn.run_sync(differences) == []


async def test_what_was_put_is_what_is_read(store: Store) -> None:
    binding, revision = bound()
    disabled = credential("old", state=CredentialState.DESTROYED, envelope=None, expire_time=None)
    await store.put(credential(), disabled, binding, revision)
    ledger = store.ledger
    assert await ledger.credential("acme", "main") == credential()
    assert await ledger.credential("acme", "old") == disabled
    found = await ledger.binding("acme", "photos")
    assert found is not None
    assert (found.binding, found.revision) == (binding, revision)
    assert await ledger.credential("beta", "main") is None
    assert await ledger.binding("acme", "main") is None


async def test_each_change_grows_the_generation_by_one(store: Store) -> None:
    assert await store.put(credential("one")) == 1
    assert await store.put(credential("two"), credential("three")) == 2
    assert {
        row["credential_id"]: row["generation"] for row in await store.rows(tables.credentials)
    } == {
        "one": 1,
        "two": 2,
        "three": 2,
    }
    assert [row["generation"] for row in await store.rows(tables.state)] == [2]


async def test_a_change_that_fails_leaves_nothing(store: Store) -> None:
    await store.put(credential())
    before = await store.dump()
    with pytest.raises(RuntimeError):
        await _fail(store)
    assert await store.dump() == before


async def _fail(store: Store) -> None:
    async with store.ledger.change() as change:
        await change.put_credential(credential(state=CredentialState.DISABLED))
        await change.put_credential(credential("new"))
        await change.remember(REQUEST, "r", NOW)
        raise RuntimeError


async def test_a_change_that_writes_nothing_is_none(store: Store) -> None:
    before = await store.dump()
    async with store.ledger.change() as change:
        assert await change.credential("acme", "main") is None
        assert not change.changed
    assert await store.dump() == before


async def test_the_sum_over_all_rows_follows_every_change(store: Store) -> None:
    binding, revision = bound()
    await store.put(credential(), binding, revision)
    await store.put(credential(state=CredentialState.DISABLED))
    await store.put(replace(revision, state=RevisionState.SUPERSEDED), replace(revision, number=2))
    change = await store.source().poll()
    assert change is not None
    assert (change.generation, change.full) == (3, True)


async def test_a_change_sees_what_it_wrote_itself(store: Store) -> None:
    async with store.ledger.change() as change:
        await change.put_credential(credential())
        assert await change.credential("acme", "main") == credential()
        await change.put_credential(credential(state=CredentialState.DISABLED))
    found = await store.ledger.credential("acme", "main")
    assert found is not None
    assert found.state is CredentialState.DISABLED
    assert await store.source().poll() is not None


class TestRequests:
    @staticmethod
    async def earlier(store: Store, request: RequestKey, after: timedelta) -> str | None:
        async with store.ledger.change() as change:
            return await change.earlier(request, NOW + after)

    async def remembered(self, store: Store) -> None:
        async with store.ledger.change() as change:
            assert await change.earlier(REQUEST, NOW) is None
            await change.remember(REQUEST, "projects/acme/credentials/main", NOW)
            await change.put_credential(credential())

    async def test_the_same_request_finds_what_it_made(self, store: Store) -> None:
        await self.remembered(store)
        found = await self.earlier(store, REQUEST, timedelta(hours=23, minutes=59))
        assert found == "projects/acme/credentials/main"

    async def test_another_body_under_the_same_key_is_refused(self, store: Store) -> None:
        await self.remembered(store)
        async with refused(Reason.REQUEST_ID_REUSED):
            await self.earlier(store, replace(REQUEST, digest=b"other"), timedelta())

    async def test_another_callers_key_is_another_request(self, store: Store) -> None:
        await self.remembered(store)
        other = replace(REQUEST, key=b"caller-2/Rotate/b/id")
        assert await self.earlier(store, other, timedelta()) is None

    async def test_after_a_day_it_is_forgotten(self, store: Store) -> None:
        await self.remembered(store)
        assert await self.earlier(store, REQUEST, timedelta(hours=24, seconds=1)) is None
        assert await store.rows(tables.requests) == []


class TestPages:
    IDS = ("a", "a-b", "a0", "ab", "b", "b1", "z")

    async def test_credentials_come_byte_by_byte(self, store: Store) -> None:
        await store.put(*(credential(name) for name in reversed(self.IDS)))
        await store.put(credential("zz", "beta"))
        found: list[str] = []
        while page := await store.ledger.credentials("acme", found[-1] if found else "", 2):
            found += [row.credential_id for row in page]
        assert found == sorted(self.IDS, key=str.encode)

    async def test_bindings_come_byte_by_byte_with_their_active_revision(
        self, store: Store
    ) -> None:
        for name in self.IDS:
            await store.put(*bound(name))
        found: list[str] = []
        while page := await store.ledger.bindings("acme", found[-1] if found else "", 3):
            assert all(row.revision.binding_uid == row.binding.uid for row in page)
            found += [row.binding.binding_id for row in page]
        assert found == sorted(self.IDS, key=str.encode)

    async def test_revisions_come_newest_first(self, store: Store) -> None:
        binding, revision = bound()
        await store.put(binding, *(replace(revision, number=n) for n in range(1, 8)))
        found, before = [], 1000
        while page := await store.ledger.revisions(binding.uid, before, 3):
            found += [row.number for row in page]
            before = found[-1]
        assert found == [7, 6, 5, 4, 3, 2, 1]

    async def test_more_bindings_than_one_statement_takes(self, store: Store) -> None:
        things = [thing for n in range(601) for thing in bound(f"b{n:04}")]
        await store.put(*things)
        assert len(await store.ledger.bindings("acme", "", 5000)) == 601


class TestUse:
    async def test_users_are_bindings_whose_live_revision_is_on_the_credential(
        self, store: Store
    ) -> None:
        first, one = bound("first")
        second, two = bound("second")
        gone, three = bound("gone", delete_time=NOW)
        drained = NOW + timedelta(hours=3)
        moved = replace(two, state=RevisionState.SUPERSEDED, drain_time=drained)
        after = replace(two, number=2, credential_uid="uid-acme-other")
        await store.put(first, one, replace(second, active=2), moved, after, gone, three)
        users = await store.ledger.users("uid-acme-main")
        assert [user.binding.binding_id for user in users] == ["first"]
        assert await store.ledger.last_drain("uid-acme-main") == drained
        assert await store.ledger.last_drain("uid-acme-other") is None

    async def test_a_deleted_bindings_name_can_be_used_again(self, store: Store) -> None:
        await store.put(*bound(delete_time=NOW))
        assert await store.ledger.binding("acme", "photos") is None
        await store.put(*bound(uid="another"))
        found = await store.ledger.binding("acme", "photos")
        assert found is not None
        assert found.binding.uid == "another"
        assert len(await store.ledger.bindings("acme", "", 10)) == 1

    async def test_a_name_is_never_held_twice(self, store: Store) -> None:
        await store.put(credential(), *bound())
        for thing in (credential(uid="another"), bound(uid="another")[0]):
            with pytest.raises(Exception, match="IntegrityError"):
                await store.put(thing)


async def test_writers_take_turns(store: Store) -> None:
    """Two changes at once: none is lost, each has a generation of its own, the sum adds up."""

    async def write(number: int) -> int:
        async with store.ledger.change() as change:
            await asyncio.sleep(0.002)
            await change.put_credential(credential(f"c{number}"))
        return change.generation

    generations = await asyncio.gather(*(write(number) for number in range(12)))
    assert sorted(generations) == list(range(1, 13))
    change = await store.source().poll()
    assert change is not None
    assert len(change.credentials) == 12


async def test_the_second_of_two_equal_requests_finds_the_first(store: Store) -> None:
    async def once() -> bool:
        async with store.ledger.change() as change:
            if await change.earlier(REQUEST, NOW) is not None:
                return False
            await change.put_credential(credential())
            await change.remember(REQUEST, "r", NOW)
        return True

    assert sorted(await asyncio.gather(*(once() for _ in range(5)))) == [False] * 4 + [True]


async def test_a_read_sees_no_half_of_a_change(store: Store) -> None:
    binding, revision = bound()
    await store.put(binding, revision)

    async def rotate(change: LedgerChange, number: int) -> None:
        await change.put_revision(replace(revision, number=number))
        await change.put_binding(replace(binding, active=number))

    async def rotate_often() -> None:
        for number in range(2, 12):
            async with store.ledger.change() as change:
                await rotate(change, number)

    writing = asyncio.ensure_future(rotate_often())
    while not writing.done():
        found = await store.ledger.binding("acme", "photos")
        assert found is not None
        assert found.binding.active == found.revision.number
    await writing


async def test_a_database_that_is_away_says_so_and_no_more(store: Store) -> None:
    await store.sql(sa.text("ALTER TABLE state RENAME TO hidden"))
    with pytest.raises(Exception) as caught:
        await store.put(credential(principal_hint="canary"))
    assert "canary" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    await store.sql(sa.text("ALTER TABLE hidden RENAME TO state"))
