"""Threat 8: whoever writes the database without the keys is found out, whatever they change."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from serving.faults import Fault
from signer.domain.bindings import RevisionState
from signer.domain.credentials import CredentialState
from signer.domain.reasons import Reason
from signer.storage import tables
from tests.fakes.signer_databases import NOW, Store, bound, credential

AUTHENTICATED = (tables.credentials, tables.bindings, tables.revisions)
COLUMNS = [(table, column) for table in (*AUTHENTICATED, tables.state) for column in table.columns]


@pytest.fixture
async def filled(store: Store) -> Store:
    """Every column has a value; two of each, so that values can be swapped."""
    for name in ("main", "second"):
        binding, revision = bound(f"photos-{name}", credential_id=name)
        gone = replace(
            revision,
            number=2,
            state=RevisionState.SUPERSEDED,
            supersede_time=NOW,
            drain_time=NOW,
        )
        await store.put(credential(name), binding, revision, gone)
    return store


def test_no_table_with_a_code_is_forgotten() -> None:
    coded = {table for table in tables.metadata.tables.values() if "mac" in table.columns}
    assert coded == {*AUTHENTICATED, tables.state}


def other(value: Any) -> Any:
    """Another value of the same type, or of one where there was none."""
    match value:
        case None:
            return 1
        case int():
            return value + 100  # a primary key that is still free
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case _:
            return f"{value} " if "[" in value else f"{value}x"


async def one(store: Store, table: sa.Table) -> tuple[dict[str, Any], sa.ColumnElement[bool]]:
    row = (await store.rows(table))[0]
    return row, sa.and_(*(column == row[column.name] for column in table.primary_key))


async def touch(store: Store, name: str) -> None:
    """Reads all there is, the way requests do."""
    ledger = store.ledger
    for project in ("acme", "acmex"):
        for found in await ledger.credentials(project, "", 100):
            await ledger.users(found.uid)
            await ledger.last_drain(found.uid)
        for item in await ledger.bindings(project, "", 100):
            await ledger.revisions(item.binding.uid, 1000, 100)
    del name


async def reasons(store: Store) -> set[str]:
    found = set()
    for attempt in (touch(store, "read"), store.source().poll(), _write(store)):
        try:
            await attempt
        except Fault as fault:
            found.add(fault.reason)
        else:
            found.add("fine")
    return found


async def _write(store: Store) -> None:
    async with store.ledger.change() as change:
        for name in ("main", "second"):
            found = await change.credential("acme", name)
            assert found is not None
            await change.put_credential(replace(found, update_time=NOW))
            bound_one = await change.binding("acme", f"photos-{name}")
            assert bound_one is not None
            await change.put_binding(bound_one.binding)
            for number in (1, 2):
                revision = await change.revision(bound_one.binding.uid, number)
                assert revision is not None
                await change.put_revision(revision)


@pytest.mark.parametrize(
    ("table", "column"), COLUMNS, ids=[f"{table.name}.{c.name}" for table, c in COLUMNS]
)
async def test_a_changed_column_is_refused(
    filled: Store, table: sa.Table, column: sa.Column[Any]
) -> None:
    row, key = await one(filled, table)
    await filled.sql(sa.update(table).where(key).values({column.name: other(row[column.name])}))
    started = filled.source()
    with pytest.raises(Fault) as caught:
        await started.poll()
    assert caught.value.reason == Reason.STATE_TAMPERED
    hides = column.primary_key or column.name in ("project", "delete_time")
    if table is not tables.state and not hides:
        with pytest.raises(Fault) as caught:
            await touch(filled, column.name)
        assert caught.value.reason == Reason.STATE_TAMPERED


@pytest.mark.parametrize("table", AUTHENTICATED, ids=lambda t: t.name)
async def test_emptied_columns_are_refused(filled: Store, table: sa.Table) -> None:
    for column in (c for c in table.columns if c.nullable):
        before = await filled.dump()
        row, key = await one(filled, table)
        value = 7 if row[column.name] is None else None
        await filled.sql(sa.update(table).where(key).values({column.name: value}))
        with pytest.raises(Fault):
            await filled.source().poll()
        await filled.bring_back(before)
    assert await filled.source().poll() is not None


@pytest.mark.parametrize("table", AUTHENTICATED, ids=lambda t: t.name)
async def test_a_row_copied_to_another_key_is_refused(filled: Store, table: sa.Table) -> None:
    """The code of one row is none for another: the key is under it, too."""
    rows = await filled.rows(table)
    here, there = rows[0], rows[-1]
    kept = {c.name for c in table.primary_key} | {"project", "credential_id", "binding_id"}
    values = {name: value for name, value in here.items() if name not in kept}
    key = sa.and_(*(column == there[column.name] for column in table.primary_key))
    await filled.sql(sa.update(table).where(key).values(values))
    with pytest.raises(Fault) as caught:
        await touch(filled, table.name)
    assert caught.value.reason == Reason.STATE_TAMPERED


@pytest.mark.parametrize("table", AUTHENTICATED, ids=lambda t: t.name)
async def test_a_row_that_was_taken_out_is_missed(filled: Store, table: sa.Table) -> None:
    _, key = await one(filled, table)
    await filled.sql(sa.delete(table).where(key))
    with pytest.raises(Fault) as caught:
        await filled.source().poll()
    assert caught.value.reason == Reason.STATE_TAMPERED


async def test_a_row_that_was_put_in_is_refused(filled: Store) -> None:
    row, _ = await one(filled, tables.credentials)
    await filled.sql(
        sa.insert(tables.credentials).values(row | {"uid": "mine", "credential_id": "mine"})
    )
    with pytest.raises(Fault):
        await filled.source().poll()
    with pytest.raises(Fault):
        await filled.ledger.credential("acme", "mine")


async def test_the_end_of_urls_is_read_from_verified_rows(filled: Store) -> None:
    """An operator waits for it before saying that a leaked key is harmless."""
    await filled.sql(sa.update(tables.revisions).values(drain_time=1))
    with pytest.raises(Fault) as caught:
        await filled.ledger.last_drain("uid-acme-main")
    assert caught.value.reason == Reason.STATE_TAMPERED


class TestAnOldRow:
    """Its own code is right: it is the sum over all rows that gives it away."""

    @staticmethod
    async def put_back(store: Store) -> None:
        """The credential was disabled; its row from before comes back."""
        key = tables.credentials.c.credential_id == "main"
        old = (await store.rows(tables.credentials))[0]
        assert old["credential_id"] == "main"
        await store.put(credential(state=CredentialState.DISABLED))
        await store.sql(sa.update(tables.credentials).where(key).values(old))

    async def test_it_is_refused_at_the_start(self, filled: Store) -> None:
        await self.put_back(filled)
        with pytest.raises(Fault) as caught:
            await filled.source().poll()
        assert caught.value.reason == Reason.STATE_TAMPERED

    async def test_it_never_reaches_who_has_seen_the_new_one(self, filled: Store) -> None:
        source = filled.source()
        await source.poll()
        await self.put_back(filled)
        # The difference lacks the row that the generation promises.
        with pytest.raises(Fault) as caught:
            await source.poll()
        assert caught.value.reason == Reason.STATE_TAMPERED

    async def test_a_change_of_it_gives_it_away(self, filled: Store) -> None:
        source = filled.source()
        await self.put_back(filled)
        await filled.put(credential(state=CredentialState.DISABLED))
        with pytest.raises(Fault) as caught:
            await source.poll()
        assert caught.value.reason == Reason.STATE_TAMPERED


async def test_an_old_state_row_is_refused(filled: Store) -> None:
    source = filled.source()
    (old,) = await filled.rows(tables.state)
    await filled.put(credential(state=CredentialState.DISABLED))
    await source.poll()
    await filled.sql(sa.update(tables.state).values(old))
    with pytest.raises(Fault) as caught:
        await source.poll()
    assert caught.value.reason == Reason.STATE_ROLLED_BACK
    with pytest.raises(Fault) as caught:
        await filled.source().poll()
    assert caught.value.reason == Reason.STATE_TAMPERED


async def test_a_database_without_its_state_row_is_refused(filled: Store) -> None:
    await filled.sql(sa.delete(tables.state))
    assert await reasons(filled) == {"fine", Reason.STATE_TAMPERED}
    with pytest.raises(Fault):
        await filled.put(credential("new"))


async def test_what_nobody_touched_is_fine(filled: Store) -> None:
    assert await reasons(filled) == {"fine"}
