"""A Signer without its key: nothing but health answers, and it opens by itself."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from signer.app.state import SigningState
from signer.bootstrap import database_of
from signer.sealing import keyring
from signer.sealing.keks import KekUnavailable, WrappedKey
from signer.sealing.keyring import LocalKeyring
from signer.storage import tables
from tests.fakes.signer_databases import Store
from tests.fakes.signer_requests import mounted, named, sign, store
from tests.fakes.signer_rig import METHODS, Client, Rig, Running

SERVING, NOT_SERVING = 1, 2
PHOTOS = "projects/acme/bindings/photos"


async def health(client: Client, service: str = "") -> int:
    rpc: Any = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return int((await rpc(health_pb2.HealthCheckRequest(service=service))).status)


async def until(client: Client, status: int) -> None:
    async with asyncio.timeout(10):
        while await health(client) != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def all_sealed(running: Running) -> None:
    for method in METHODS:
        for client in (running.acme, running.stranger):
            answer = await client.refused(method, named(method, "acme"))
            assert (answer.code.name, answer.reason) == ("FAILED_PRECONDITION", "SEALED")


async def test_sealed_until_the_keyring_is_there(rig: Rig) -> None:
    away = rig.keyring.with_name("away.json")
    rig.keyring.rename(away)
    async with rig.running(wait=False) as running:
        assert await health(running.acme) == NOT_SERVING
        assert await health(running.acme, "sealmount.signer.v1.SignerService") == NOT_SERVING
        await all_sealed(running)
        away.rename(rig.keyring)
        await until(running.acme, SERVING)
        await mounted(running.acme)
        assert (await running.acme.ok("SignObjectUrl", sign())).url


@pytest.mark.parametrize("wrong", ["readable", "garbage", "pipe", "another"])
async def test_sealed_under_a_keyring_that_is_not_one(rig: Rig, wrong: str) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
    good = rig.keyring.with_name("good.json")
    rig.keyring.rename(good)
    _make_wrong(rig.keyring, good, wrong)
    async with rig.running(wait=False) as running:
        await asyncio.sleep(0.1)
        assert await health(running.acme) == NOT_SERVING
        assert (await running.acme.refused("SignObjectUrl", sign())).reason == "SEALED"
        rig.keyring.unlink()
        good.rename(rig.keyring)
        if wrong != "another":  # a keyring that was read is kept until the next start
            await until(running.acme, SERVING)
            assert (await running.acme.ok("SignObjectUrl", sign())).url


def _make_wrong(path: Path, good: Path, wrong: str) -> None:
    match wrong:
        case "readable":
            shutil.copy(good, path)
            path.chmod(0o644)
        case "garbage":
            path.write_text('{"version": 1, "current": []}')
            path.chmod(0o400)
        case "pipe":
            os.mkfifo(path, 0o400)
        case _:
            keyring.create(path)


class Losing(LocalKeyring):
    """A holder of keys that can go away and come back, as a service can."""

    away = False

    async def wrap(self, key: bytes | bytearray, context: bytes) -> WrappedKey:
        self._check()
        return await super().wrap(key, context)

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytearray:
        self._check()
        return await super().unwrap(wrapped, context)

    def _check(self) -> None:
        if self.away:
            raise KekUnavailable("away")


async def test_a_key_that_goes_away_later_stops_what_needs_it(rig: Rig) -> None:
    """Signers that were compiled go on; nothing new is stored or opened."""
    keks = Losing(rig.keyring)
    async with rig.running(keks=keks) as running:
        await mounted(running.acme)
        assert (await running.acme.ok("SignObjectUrl", sign())).url
        keks.away = True
        answer = await running.acme.refused("StoreCredential", store(credential_id="b"))
        assert answer.reason == "SEALED"
        rig.clock.advance(days=5)
        assert (await running.acme.refused("SignObjectUrl", sign())).reason == "SEALED"
        keks.away = False
        assert (await running.acme.ok("SignObjectUrl", sign())).url


@pytest.mark.parametrize("error", [RuntimeError("surprise"), OSError(5, "x")], ids=["bug", "disk"])
async def test_an_opening_that_fails_late_is_tried_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The log is open by then, and locked: the next attempt must not stand in its own way."""
    real, left = SigningState.changed, [error] * 2

    async def changed(state: SigningState) -> None:
        if left:
            raise left.pop()
        await real(state)

    monkeypatch.setattr(SigningState, "changed", changed)
    async with rig.running() as running:
        await mounted(running.acme)
        assert (await running.acme.ok("SignObjectUrl", sign())).url
    assert left == []


async def test_another_deployment_stays_sealed(rig: Rig) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
    async with rig.running(wait=False, deployment="another") as running:
        await asyncio.sleep(0.1)
        await all_sealed(running)


async def test_both_key_versions_open(rig: Rig) -> None:
    async with rig.running() as running:
        await mounted(running.acme)
    keyring.add_version(rig.keyring)
    async with rig.running() as running:
        assert (await running.acme.ok("SignObjectUrl", sign())).url
        await running.acme.ok("StoreCredential", store(credential_id="second"))
    database = database_of(rig.database)
    rows = await Store(rig.database, database, None).rows(tables.credentials)  # type: ignore[arg-type]
    await database.close()
    assert {row["credential_id"]: row["kek_ref"] for row in rows} == {
        "main": "keyring/k1",
        "second": "keyring/k2",
    }


async def test_a_restart_keeps_everything(rig: Rig) -> None:
    async with rig.running() as running:
        made = await mounted(running.acme)
        url = await running.acme.ok("SignObjectUrl", sign())
    async with rig.running() as running:
        assert await running.acme.ok("GetBinding", name=PHOTOS) == made
        assert await running.acme.ok("SignObjectUrl", sign()) == url
