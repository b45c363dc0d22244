"""Somebody undoes a change while it is made, or after: nothing says that it holds when it doesn't.

Triggers need no key: what they put back was once valid, code and all.
"""

import asyncio
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from signer.bootstrap import database_of
from signer.storage import tables
from tests.fakes.signer_databases import Databases
from tests.fakes.signer_requests import mounted, sign, store
from tests.fakes.signer_rig import Certificates, Rig, RigClock, Running

PHOTOS, MAIN = "projects/acme/bindings/photos", "projects/acme/credentials/main"


@pytest.fixture
def unhurried(tmp_path: Path, certificates: Certificates, databases: Databases) -> Rig:
    return Rig(tmp_path, certificates, databases.sqlite(tmp_path), RigClock(hurried=False))


def undoing(table: sa.Table) -> str:
    """A trigger that puts every updated row back as it was."""
    keys = " AND ".join(f"{c.name} = OLD.{c.name}" for c in table.primary_key)
    old = ", ".join(f'"{c.name}" = OLD."{c.name}"' for c in table.columns if not c.primary_key)
    return (
        f"CREATE TRIGGER undo_{table.name} AFTER UPDATE ON {table.name} "
        f"BEGIN UPDATE {table.name} SET {old} WHERE {keys}; END"
    )


async def run(rig: Rig, *statements: str) -> None:
    database = database_of(rig.database)
    async with database.write() as conn:
        for statement in statements:
            await conn.execute(sa.text(statement))
    await database.close()


@pytest.mark.parametrize("undone", [("credentials",), ("state",), ("credentials", "state")])
async def test_a_change_that_a_trigger_undoes_is_refused(
    signer: Running, rig: Rig, undone: tuple[str, ...]
) -> None:
    await mounted(signer.acme)
    await run(rig, *(undoing(tables.metadata.tables[name]) for name in undone))
    answer = await signer.acme.refused("DisableCredential", name=MAIN)
    assert answer.reason == "STATE_TAMPERED"
    assert b"STATE_TAMPERED" in rig.audit_file.read_bytes()
    await run(rig, *(f"DROP TRIGGER undo_{name}" for name in undone))
    await signer.acme.ok("DisableCredential", name=MAIN)
    assert (await signer.acme.refused("SignObjectUrl", sign())).reason == "CREDENTIAL_DISABLED"


async def test_a_rotation_whose_revision_is_deleted_is_refused(signer: Running, rig: Rig) -> None:
    made = await mounted(signer.acme)
    await signer.acme.ok("StoreCredential", store(credential_id="next"))
    await run(
        rig,
        "CREATE TRIGGER gone AFTER INSERT ON revisions BEGIN"
        " DELETE FROM revisions WHERE binding_uid = NEW.binding_uid AND number = NEW.number; END",
    )
    answer = await signer.acme.refused(
        "RotateBinding",
        name=PHOTOS,
        credential="projects/acme/credentials/next",
        etag=made.etag,
    )
    assert answer.reason == "STATE_TAMPERED"
    await run(rig, "DROP TRIGGER gone")
    assert (await signer.acme.ok("GetBinding", name=PHOTOS)).etag == made.etag


async def test_a_commit_that_is_gone_afterwards_is_a_rollback(signer: Running) -> None:
    """What was committed here counts as seen, even before the next poll has shown it."""
    await mounted(signer.acme)
    use = signer.signer.use_cases()
    use.desk.committed(signer.signer._state.generation + 1)  # type: ignore[union-attr]
    async with asyncio.timeout(10):
        while (fault := signer.signer.refusal()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert fault.reason == "STATE_ROLLED_BACK"


async def test_disabling_what_is_disabled_waits_for_the_bound_as_well(unhurried: Rig) -> None:
    async with unhurried.running() as running:
        await mounted(running.acme)
        first = asyncio.ensure_future(running.acme.ok("DisableCredential", name=MAIN))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await running.acme.ok("DisableCredential", name=MAIN)
        took = time.monotonic() - began
        await first
    assert took >= unhurried.config.staleness


async def test_a_text_in_place_of_a_code_is_tampering(signer: Running, rig: Rig) -> None:
    await signer.acme.ok("StoreCredential", store())
    await run(rig, "UPDATE credentials SET mac = 'text'")
    answer = await signer.acme.refused("DescribeCredential", name=MAIN)
    assert answer.reason == "STATE_TAMPERED"
    assert answer.code.name == "DATA_LOSS"


async def test_an_internal_url_is_downloaded_too(signer: Running) -> None:
    await mounted(signer.acme)
    request = sign("page.html")
    request.options.audience = 2
    url = (await signer.acme.ok("SignObjectUrl", request)).url
    assert "response-content-disposition=attachment" in url
