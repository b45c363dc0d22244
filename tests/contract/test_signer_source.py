"""What replicas learn of the state: differences, the whole, and whether it adds up."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

from serving.faults import Fault
from signer.domain.bindings import RevisionState
from signer.domain.credentials import CredentialState
from signer.domain.ports import StateChange
from signer.domain.reasons import Reason
from signer.storage import tables
from signer.storage.source import SqlStateSource
from tests.fakes.signer_databases import Store, bound, credential, integrity


async def refusal(source: SqlStateSource) -> str:
    with pytest.raises(Fault) as caught:
        await source.poll()
    return caught.value.reason


async def polled(source: SqlStateSource) -> StateChange:
    change = await source.poll()
    assert change is not None
    return change


async def test_the_first_poll_gives_everything(store: Store) -> None:
    binding, revision = bound()
    await store.put(credential(), binding, revision)
    change = await polled(store.source())
    assert change == StateChange(1, True, [credential()], [binding], [revision])


async def test_an_empty_database_is_a_state_too(store: Store) -> None:
    assert await polled(store.source()) == StateChange(0, True, [], [], [])


async def test_nothing_new_is_nothing(store: Store) -> None:
    source = store.source()
    await polled(source)
    assert await source.poll() is None


async def test_later_polls_give_differences(store: Store) -> None:
    binding, revision = bound()
    await store.put(credential(), credential("other"), binding, revision)
    source = store.source()
    await polled(source)
    old = replace(revision, state=RevisionState.SUPERSEDED)
    new = replace(revision, number=2, credential_uid="uid-acme-other")
    await store.put(old, new, replace(binding, active=2))
    change = await polled(source)
    assert (change.generation, change.full, change.credentials) == (2, False, [])
    assert change.bindings == [replace(binding, active=2)]
    assert sorted(change.revisions, key=lambda r: r.number) == [old, new]


async def test_several_changes_come_as_one_difference(store: Store) -> None:
    source = store.source()
    await polled(source)
    await store.put(credential())
    await store.put(credential(state=CredentialState.DISABLED))
    await store.put(credential("new"))
    change = await polled(source)
    assert change.generation == 3
    assert [c.state for c in change.credentials if c.credential_id == "main"] == ["DISABLED"]


async def test_replicas_learn_the_same(store: Store) -> None:
    early, late = store.source(), store.source()
    await polled(early)
    for number in range(5):
        await store.put(credential(f"c{number}"))
        if number % 2:
            await polled(early)
    one, two = await early.poll(), await polled(late)
    assert one is not None
    assert one.generation == two.generation == 5


async def test_polls_beside_a_busy_writer_always_add_up(store: Store) -> None:
    source = store.source()

    async def write() -> None:
        for number in range(15):
            await store.put(credential(f"c{number % 7}"), *bound(f"b{number}"))

    writing = asyncio.ensure_future(write())
    seen = [-1]
    while not writing.done():
        change = await source.poll()
        if change is not None:
            assert change.generation > seen[-1]
            seen.append(change.generation)
    await writing
    await source.poll()


async def test_a_purge_that_follows_the_rules_is_taken_in(store: Store) -> None:
    """Rows may go when the sum is brought up to date with them: everything is read anew."""
    await store.put(credential("one"))
    await store.put(credential("two"))
    source = store.source()
    await polled(source)
    kept = next(row for row in await store.rows(tables.credentials) if row["generation"] == 2)
    sealed = store.guard.seal_state(3, store.guard.contribution(kept))
    await store.sql(sa.delete(tables.credentials).where(tables.credentials.c.generation == 1))
    await store.sql(sa.update(tables.state).values(sealed))
    change = await polled(source)
    assert change.full
    assert [c.credential_id for c in change.credentials] == ["two"]


async def test_a_database_behind_what_was_seen_is_refused_until_it_is_back(store: Store) -> None:
    await store.put(credential())
    source = store.source()
    await polled(source)
    old = await store.dump()
    await store.put(credential(state=CredentialState.DISABLED))
    await polled(source)
    present = await store.dump()
    await store.bring_back(old)
    assert await refusal(source) == Reason.STATE_ROLLED_BACK
    await store.bring_back(present)
    assert await source.poll() is None


async def test_a_database_behind_the_audit_log_is_refused_at_the_start(store: Store) -> None:
    await store.put(credential())
    assert await refusal(store.source(least_generation=2)) == Reason.STATE_ROLLED_BACK
    await store.put(credential("new"))
    assert (await polled(store.source(least_generation=2))).generation == 2


async def test_an_old_database_that_was_brought_forward_is_refused(store: Store) -> None:
    """An old backup on which changes were made until its generation was past what was seen."""
    await store.put(credential())
    old = await store.dump()
    source = store.source()
    await store.put(credential(state=CredentialState.DISABLED))
    await polled(source)
    await store.bring_back(old)
    await store.put(credential("one"))
    assert await refusal(source) == Reason.STATE_TAMPERED


async def test_a_snapshot_older_than_the_question_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup comes back between the two reads of one poll."""
    old = await store.dump()
    source = store.source()
    await store.put(credential())
    await polled(source)
    await store.put(credential("two"))
    real = SqlStateSource._snapshot

    def swapped(self: SqlStateSource) -> object:
        return _after(store.bring_back(old), real(self))

    monkeypatch.setattr(SqlStateSource, "_snapshot", swapped)
    assert await refusal(source) == Reason.STATE_ROLLED_BACK


class _after:  # noqa: N801  # reads like the function that it stands in for
    def __init__(self, first: object, then: object) -> None:
        self._first, self._then = first, then

    async def __aenter__(self) -> object:
        await self._first  # type: ignore[misc]
        return await self._then.__aenter__()  # type: ignore[attr-defined]

    async def __aexit__(self, *exc: object) -> object:
        return await self._then.__aexit__(*exc)  # type: ignore[attr-defined]


async def test_rows_of_other_keys_are_refused(store: Store) -> None:
    other = replace(store, guard=type(store.guard)(integrity("other"), "test"))
    await store.put(credential())
    assert await refusal(other.source()) == Reason.STATE_TAMPERED


async def test_rows_of_another_deployment_are_refused(store: Store) -> None:
    other = replace(store, guard=type(store.guard)(integrity(), "another"))
    assert await refusal(other.source()) == Reason.STATE_TAMPERED
