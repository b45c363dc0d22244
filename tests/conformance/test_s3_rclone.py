"""Signed S3 URLs on rclone's server: a verifier that somebody else wrote."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from signer.domain.signing import Audience, Instant, ListIntent, Method
from tests.conformance.s3_live import BODY, KEY, OTHER, XML, location, url_of
from tests.fakes.httpclients import CLIENTS, Client, by_aiohttp, get_by_aiohttp
from tests.fakes.rclone import Rclone
from tests.fakes.s3signing import s3_signer, utc_now


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    folder = tmp_path_factory.mktemp("rclone")
    (folder / "bucket" / "a b").mkdir(parents=True)
    (folder / "bucket" / "a b" / "ü.jpg").write_bytes(BODY)
    keys = [(k.access_key_id, k.secret_access_key) for k in (KEY, OTHER)]
    with Rclone(folder, keys) as store:
        yield store


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.needs("rclone")
async def test_rclone_accepts_what_we_sign(rclone: Rclone, get: Client) -> None:
    url = url_of(s3_signer(location(rclone.origin), KEY))
    assert await get(url) == (200, BODY)


@pytest.mark.needs("rclone")
async def test_rclone_lists_what_we_sign_and_nothing_else(rclone: Rclone) -> None:
    (rclone.folder / "bucket" / "other.jpg").write_bytes(b"x")
    intent = ListIntent(Audience.INTERNAL, Instant(utc_now(), 60), prefix="a b/")
    url = s3_signer(location(rclone.origin), KEY).listing(intent)
    status, body = await get_by_aiohttp(url)
    assert status == 200
    assert [e.text for e in ElementTree.fromstring(body).iter(f"{XML}Key")] in (
        ["a b/ü.jpg"],
        ["a+b/%C3%BC.jpg"],
        ["a%20b/%C3%BC.jpg"],
    )
    assert "prefix=a%20b%2F" in url
    for changed in ("prefix=", "prefix=a%20b", "prefix=other"):
        assert (await get_by_aiohttp(url.replace("prefix=a%20b%2F", changed)))[0] == 403


@pytest.mark.needs("rclone")
async def test_rclone_takes_a_put_and_a_delete(rclone: Rclone) -> None:
    signer = s3_signer(location(rclone.origin), OTHER)
    put = url_of(signer, "a b/new.bin", Method.PUT)
    headers = dict(signer.required_headers(Method.PUT))
    assert (await by_aiohttp(put, "PUT", headers, b"new"))[0] == 200
    assert (rclone.folder / "bucket" / "a b" / "new.bin").read_bytes() == b"new"
    head = url_of(signer, "a b/new.bin", Method.HEAD)
    assert (await by_aiohttp(head, "HEAD"))[0] == 200
    assert (await by_aiohttp(url_of(signer, "a b/new.bin", Method.DELETE), "DELETE"))[0] == 204
    assert not (rclone.folder / "bucket" / "a b" / "new.bin").exists()


@pytest.mark.needs("rclone")
async def test_rclone_refuses_what_was_not_signed(rclone: Rclone) -> None:
    url = url_of(s3_signer(location(rclone.origin), KEY))
    stranger = s3_signer(location(rclone.origin), replace(KEY, secret_access_key="guessed-it"))
    refused = {
        "tampered": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "other path": url.replace("/a%20b/", "/"),
        "other secret": url_of(stranger),
        "expired": url_of(s3_signer(location(rclone.origin), KEY), expires=60, age=120),
        "unsigned": url.partition("?")[0],
    }
    for case, wrong in refused.items():
        status, body = await get_by_aiohttp(wrong)
        assert status in (400, 403), case
        assert BODY not in body, case
    assert (await by_aiohttp(url, "DELETE"))[0] == 403


@pytest.mark.needs("rclone")
def test_rclone_forgets_a_key_when_it_restarts(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "k").write_bytes(BODY)
    both = [(k.access_key_id, k.secret_access_key) for k in (KEY, OTHER)]
    with Rclone(tmp_path, both) as store:
        origin = store.origin
        url = url_of(s3_signer(location(origin), KEY), "k")
        assert asyncio.run(get_by_aiohttp(url)) == (200, BODY)
        store.restart(both[1:])
        assert store.origin == origin
        assert asyncio.run(get_by_aiohttp(url))[0] == 403
