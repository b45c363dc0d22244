"""Row 13: the path that travels is the path that was signed, whatever the key and the client."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.s3_live import KEY, REGION, location, url_of
from tests.fakes.httpclients import CLIENTS, Client, get_by_requests, localhost_resolved
from tests.fakes.s3server import S3Server
from tests.fakes.s3signing import s3_signer

CASES = json.loads(Path(__file__).with_name("hostile_keys.json").read_text())
SIGNABLE = [str(case["key"]) for case in CASES if case["defect"] is None]


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with S3Server(region=REGION) as server:
        server.add_key(KEY.access_key_id, KEY.secret_access_key)
        server.add_bucket("bucket")
        yield server


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("path_style", [True, False])
async def test_hostile_keys_travel_as_they_were_signed(
    s3: S3Server, get: Client, path_style: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 13: the path on the wire is the signed one, and it names the very key."""
    localhost_resolved(monkeypatch)
    signer = s3_signer(
        location(s3.origin if path_style else s3.domain_origin, path_style=path_style), KEY
    )
    for number, key in enumerate(SIGNABLE):
        body = f"object {number}".encode()
        s3.buckets["bucket"].put(key, body)
        url = url_of(signer, key)
        assert await get(url) == (200, body), ascii(key)
        assert url.endswith(s3.seen[-1].target), ascii(key)


async def test_dot_segments_would_be_rewritten_on_their_way(s3: S3Server) -> None:
    """Why the domain refuses such keys: plain clients ask for another object than was signed."""
    s3.add_bucket("other").put("k", b"not yours")
    url = url_of(s3_signer(location(s3.origin), KEY), "../other/k")
    assert (await get_by_requests(url))[0] == 403
    assert s3.seen[-1].path == "/other/k"
