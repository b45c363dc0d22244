"""Two Signers on one PostgreSQL: the same URLs from both, and revocation within the bound."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.fakes.signer_databases import Databases
from tests.fakes.signer_requests import material, mounted, sign, store
from tests.fakes.signer_rig import Certificates, Rig, RigClock, Running

pytestmark = pytest.mark.needs("postgresql")
PHOTOS = "projects/acme/bindings/photos"
MAIN = "projects/acme/credentials/main"
BOUND = 1.0


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    with databases.postgresql() as url:
        yield url


@pytest.fixture
async def pair(
    tmp_path: Path, certificates: Certificates, database: str
) -> AsyncIterator[tuple[Running, Running]]:
    rig = Rig(tmp_path, certificates, database, RigClock(hurried=False))
    second = tmp_path / "second.jsonl"
    async with (
        rig.running(staleness=BOUND) as one,
        rig.running(staleness=BOUND, audit_file=second) as other,
    ):
        yield one, other


class Load:
    """Signs from both replicas until told to stop; each URL with the moment it was asked for."""

    def __init__(self, *replicas: Running) -> None:
        self.urls: list[tuple[float, str]] = []
        self.refusals: list[tuple[float, str]] = []
        self._replicas = replicas
        self._stop = asyncio.Event()

    async def _run(self, replica: Running) -> None:
        while not self._stop.is_set():
            asked = asyncio.get_running_loop().time()
            answer = await replica.acme.call("SignObjectUrl", sign())
            if answer.reason == "OK":
                self.urls.append((asked, answer.response.url))
            else:
                self.refusals.append((asked, answer.reason))
            await asyncio.sleep(0.01)  # a loop that never rests is late with its polls

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        tasks = [asyncio.ensure_future(self._run(r)) for r in self._replicas for _ in range(2)]
        try:
            yield self
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)


async def test_both_give_the_same_url_within_a_window(pair: tuple[Running, Running]) -> None:
    await mounted(pair[0].acme)
    one, other = [await replica.acme.ok("SignObjectUrl", sign()) for replica in pair]
    assert one == other


async def test_no_url_of_the_old_key_after_a_rotation_returned(
    pair: tuple[Running, Running],
) -> None:
    """Threat 27, under load: no failed request, either."""
    ids = ["AKIAIOSFODNN7EXAMPLE", "AKIANEWNEWNEWNEWNEW0"]
    bound = await mounted(pair[0].acme)
    wanted = store(credential_id="new", plain=material(ids[1]))
    await pair[0].acme.ok("StoreCredential", wanted)
    names = [MAIN, "projects/acme/credentials/new"]
    async with Load(*pair).running() as load:
        for turn in range(1, 4):
            replica = pair[turn % 2]
            bound = await replica.acme.ok(
                "RotateBinding", name=PHOTOS, credential=names[turn % 2], etag=bound.etag
            )
            returned = asyncio.get_running_loop().time()
            await asyncio.sleep(0.3)
            later = [url for asked, url in load.urls if asked >= returned]
            assert len(later) > 10
            assert [url for url in later if ids[turn % 2] not in url] == []
    assert load.refusals == []


async def test_no_url_after_the_kill_switch_returned(pair: tuple[Running, Running]) -> None:
    await mounted(pair[0].acme)
    async with Load(*pair).running() as load:
        await asyncio.sleep(0.2)
        await pair[0].acme.ok("DisableCredential", name=MAIN)
        returned = asyncio.get_running_loop().time()
        await asyncio.sleep(0.3)
    assert len(load.urls) > 10
    assert [url for asked, url in load.urls if asked >= returned] == []
    assert {reason for _, reason in load.refusals} == {"CREDENTIAL_DISABLED"}


async def test_what_one_replica_made_the_other_signs_at_once(
    pair: tuple[Running, Running],
) -> None:
    await mounted(pair[0].acme)
    assert (await pair[1].acme.ok("SignObjectUrl", sign())).url


async def test_a_database_cut_off_makes_state_stale_until_it_is_back(
    pair: tuple[Running, Running], database: str
) -> None:
    await mounted(pair[0].acme)
    plain = database.replace("postgresql+psycopg", "postgresql")
    admin = await psycopg.AsyncConnection.connect(
        plain.replace("/signer?", "/postgres?"), autocommit=True
    )
    async with admin:
        await admin.execute("ALTER DATABASE signer ALLOW_CONNECTIONS false")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'signer'"
        )
        cut = asyncio.get_running_loop().time()
        try:
            reasons = await _until_refused(pair[1])
            assert asyncio.get_running_loop().time() - cut < BOUND + 1.5
            assert reasons[-1] == "STATE_STALE"
            assert (await pair[0].acme.call("GetBinding", name=PHOTOS)).reason == (
                "STORAGE_UNAVAILABLE"
            )
        finally:
            await admin.execute("ALTER DATABASE signer ALLOW_CONNECTIONS true")
    async with asyncio.timeout(15):
        while (await pair[1].acme.call("SignObjectUrl", sign())).reason != "OK":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _until_refused(replica: Running) -> list[str]:
    reasons: list[str] = []
    async with asyncio.timeout(10):
        while not reasons or reasons[-1] == "OK":
            reasons.append((await replica.acme.call("SignObjectUrl", sign())).reason)
            await asyncio.sleep(0.02)
    return reasons


async def test_a_database_that_hangs_makes_state_stale_until_it_answers(
    pair: tuple[Running, Running], database: str
) -> None:
    await mounted(pair[0].acme)
    plain = database.replace("postgresql+psycopg", "postgresql")
    locker = await psycopg.AsyncConnection.connect(plain)
    async with locker:
        await locker.execute("LOCK TABLE state IN ACCESS EXCLUSIVE MODE")
        assert (await _until_refused(pair[0]))[-1] == "STATE_STALE"
        await locker.rollback()
    async with asyncio.timeout(15):
        while (await pair[0].acme.call("SignObjectUrl", sign())).reason != "OK":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_two_that_found_the_same_database_agree_on_its_keys(
    tmp_path: Path, certificates: Certificates, database: str
) -> None:
    rig = Rig(tmp_path, certificates, database)
    second = tmp_path / "second.jsonl"
    async with (
        rig.running(wait=False) as one,
        rig.running(wait=False, audit_file=second) as other,
    ):
        await asyncio.gather(one.until_open(), other.until_open())
        await mounted(one.acme)
        assert await other.acme.ok("GetBinding", name=PHOTOS)
