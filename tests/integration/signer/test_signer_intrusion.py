"""Threat 8 on a running Signer and over a restart: an edited database is refused and audited."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from signer.bootstrap import database_of
from signer.storage import tables
from tests.fakes.signer_databases import Databases, Store
from tests.fakes.signer_requests import mounted, named, sign, store
from tests.fakes.signer_rig import METHODS, Certificates, Rig, Running

PHOTOS, MAIN = "projects/acme/bindings/photos", "projects/acme/credentials/main"


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
)
def rig(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    certificates: Certificates,
    databases: Databases,
) -> Iterator[Rig]:
    with databases.of(request.param, tmp_path) as url:
        yield Rig(tmp_path, certificates, url)


class Intruder:
    """Somebody with the database and without a key."""

    def __init__(self, rig: Rig) -> None:
        self._url = rig.database

    async def run(self, *statements: sa.Executable) -> None:
        store = self._store()
        for statement in statements:
            await store.sql(statement)
        await store.database.close()

    async def dump(self) -> Any:
        store = self._store()
        found = await store.dump()
        await store.database.close()
        return found

    async def bring_back(self, dump: Any) -> None:
        store = self._store()
        await store.bring_back(dump)
        await store.database.close()

    def _store(self) -> Store:
        return Store(self._url, database_of(self._url), None)  # type: ignore[arg-type]


def audited(rig: Rig) -> set[str]:
    lines = rig.audit_file.read_bytes().splitlines()
    return {json.loads(line).get("reason", "") for line in lines} - {""}


async def all_refused(running: Running, reason: str) -> None:
    for method in METHODS:
        answer = await running.acme.refused(method, named(method, "acme"))
        assert answer.reason == reason, method


ENABLE = sa.update(tables.credentials).values(state="ENABLED")
AIM = sa.update(tables.revisions).values(
    location=sa.func.replace(tables.revisions.c.location, "minio.example", "evil.example")
)
STRETCH = sa.update(tables.bindings).values(max_url_lifetime=604_800, stable_window=0)


@pytest.mark.parametrize("edit", [ENABLE, AIM, STRETCH], ids=["enabled", "aimed", "stretched"])
async def test_an_edited_row_is_refused_on_reading_and_at_the_start(
    rig: Rig, edit: sa.Executable
) -> None:
    intruder = Intruder(rig)
    async with rig.running() as running:
        await mounted(running.acme)
        before = (await running.acme.ok("SignObjectUrl", sign())).url
        await running.acme.ok("DisableCredential", name=MAIN)
        await intruder.run(edit)
        reads = {
            "DescribeCredential": {"name": MAIN},
            "GetBinding": {"name": PHOTOS},
            "ListBindingRevisions": {"parent": PHOTOS},
        }
        answers = [await running.acme.call(method, **fields) for method, fields in reads.items()]
        assert "STATE_TAMPERED" in {answer.reason for answer in answers}
        # What is signed with was loaded before, and is as it was.
        assert (await running.acme.refused("SignObjectUrl", sign())).reason == "CREDENTIAL_DISABLED"
    assert "STATE_TAMPERED" in audited(rig)
    async with rig.running(wait=False) as running:
        await _until(running, "STATE_TAMPERED")
        await all_refused(running, "STATE_TAMPERED")
    assert before


async def _until(running: Running, reason: str) -> None:
    async with asyncio.timeout(10):
        while (await running.acme.call("GetBinding", name=PHOTOS)).reason != reason:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_old_backup_is_refused_by_who_runs_and_by_who_starts(rig: Rig) -> None:
    intruder = Intruder(rig)
    async with rig.running() as running:
        await mounted(running.acme)
        old = await intruder.dump()
        await running.acme.ok("DisableCredential", name=MAIN)
        present = await intruder.dump()
        await intruder.bring_back(old)
        await _until(running, "STATE_ROLLED_BACK")
        await all_refused(running, "STATE_ROLLED_BACK")
    assert "STATE_ROLLED_BACK" in audited(rig)
    async with rig.running(wait=False) as running:
        await _until(running, "STATE_ROLLED_BACK")
        await all_refused(running, "STATE_ROLLED_BACK")
        present[tables.audit_chains] = []
        await intruder.bring_back(present)
        await _until(running, "OK")
        assert (await running.acme.refused("SignObjectUrl", sign())).reason == "CREDENTIAL_DISABLED"


@pytest.fixture
def on_sqlite(tmp_path: Path, certificates: Certificates, databases: Databases) -> Rig:
    return Rig(tmp_path, certificates, databases.sqlite(tmp_path))


async def test_an_old_file_is_refused_at_the_start(on_sqlite: Rig) -> None:
    rig = on_sqlite
    path = Path(rig.database.removeprefix("sqlite+aiosqlite:///"))
    async with rig.running() as running:
        await mounted(running.acme)
    _copy(path, path.with_suffix(".old"))
    async with rig.running() as running:
        await running.acme.ok("DisableCredential", name=MAIN)
    _copy(path.with_suffix(".old"), path)
    async with rig.running(wait=False) as running:
        await _until(running, "STATE_ROLLED_BACK")


def _copy(here: Path, there: Path) -> None:
    for end in ("-wal", "-shm"):
        there.with_name(there.name + end).unlink(missing_ok=True)
        beside = here.with_name(here.name + end)
        if beside.exists():
            shutil.copy(beside, there.with_name(there.name + end))
    shutil.copy(here, there)


async def test_an_emptied_database_is_refused(rig: Rig) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
    await Intruder(rig).run(*(sa.delete(table) for table in tables.metadata.sorted_tables))
    async with rig.running(wait=False) as running:
        await _until(running, "STATE_ROLLED_BACK")


@pytest.mark.parametrize("table", [tables.state, tables.integrity_keys], ids=lambda t: t.name)
async def test_a_database_without_its_roots_stays_shut(rig: Rig, table: sa.Table) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
    await Intruder(rig).run(sa.delete(table))
    async with rig.running(wait=False) as running:
        await _until(running, "STATE_TAMPERED" if table is tables.state else "SEALED")


async def test_a_broken_table_is_no_end_of_the_process(rig: Rig) -> None:
    """An error that nobody thought of: no signing on old state, and recovery by itself."""
    intruder = Intruder(rig)
    async with rig.running() as running:
        await mounted(running.acme)
        await intruder.run(sa.text("ALTER TABLE state RENAME TO hidden"))
        async with asyncio.timeout(10):
            while (await running.acme.call("SignObjectUrl", sign())).reason == "OK":
                pass
        answer = await running.acme.refused("StoreCredential", store(credential_id="new"))
        assert answer.reason in ("INTERNAL", "STORAGE_UNAVAILABLE")
        assert b"hidden" not in answer.everything()
        await intruder.run(sa.text("ALTER TABLE hidden RENAME TO state"))
        async with asyncio.timeout(10):
            while (await running.acme.call("SignObjectUrl", sign())).reason != "OK":
                pass
