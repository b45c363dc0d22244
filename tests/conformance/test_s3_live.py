"""Signed S3 URLs at work: our signer, real HTTP clients, servers that verify.

Two servers: rclone's, which others wrote, and the tests' own, which also knows versions,
create-only PUT, sessions and hostile keys.
"""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest
import requests
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from signer.domain.location import Location, Provider
from signer.domain.signing import (
    Audience,
    Instant,
    ListIntent,
    Method,
    ObjectIntent,
    ResponseOverrides,
    UrlSigner,
)
from tests.fakes.rclone import Rclone
from tests.fakes.s3server import S3Server
from tests.fakes.s3signing import AccessKey, s3_signer, utc_now

REGION = "eu-west-1"
KEY = AccessKey("AKIDEXAMPLE", "secret/with+odd=characters")
OTHER = AccessKey("AKIDOTHER", "another/secret+altogether")
BODY = b"an image, so to say"
CASES = json.loads(Path(__file__).with_name("hostile_keys.json").read_text())
SIGNABLE = [str(case["key"]) for case in CASES if case["defect"] is None]
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class LocalResolver(AbstractResolver):
    """Every name is this machine, as ``bucket.localhost`` is for curl and browsers."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        return None


Fetched = tuple[int, bytes]
Client = Callable[[str], Awaitable[Fetched]]


async def by_aiohttp(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None
) -> tuple[int, bytes, dict[str, str]]:
    connector = aiohttp.TCPConnector(resolver=LocalResolver())
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10)) as session,
        session.request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False
        ) as response,
    ):
        return response.status, await response.read(), dict(response.headers)


async def get_by_aiohttp(url: str) -> Fetched:
    status, body, _ = await by_aiohttp(url)
    return status, body


async def get_by_requests(url: str) -> Fetched:
    def get() -> Fetched:
        with requests.Session() as session:
            session.trust_env = False
            response = session.get(url, allow_redirects=False, timeout=10)
            return response.status_code, response.content

    return await asyncio.to_thread(get)


def _curl(*options: str) -> Client:
    async def get(url: str) -> Fetched:
        curl = shutil.which("curl")
        assert curl is not None
        command = [curl, "-q", "-sS", "--globoff", "--noproxy", "*", "-m", "10", *options]
        command += ["-w", "%{http_code}", "--", url]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode(errors="replace")
        return int(out[-3:]), out[:-3]

    return get


CLIENTS = [
    pytest.param(get_by_aiohttp, id="aiohttp"),
    pytest.param(get_by_requests, id="requests"),
    pytest.param(_curl("--path-as-is"), id="curl-as-is", marks=pytest.mark.needs("curl")),
    pytest.param(_curl(), id="curl", marks=pytest.mark.needs("curl")),
]


def location(endpoint: str, *, path_style: bool = True) -> Location:
    return Location(Provider.S3, "bucket", REGION, endpoint, path_style=path_style)


def url_of(
    signer: UrlSigner,
    key: str = "a b/ü.jpg",
    method: Method = Method.GET,
    *,
    version: str = "",
    expires: int = 600,
    age: int = 0,
    overrides: ResponseOverrides | None = None,
) -> str:
    instant = Instant(utc_now() - timedelta(seconds=age), expires)
    intent = ObjectIntent(method, Audience.INTERNAL, instant, overrides or ResponseOverrides())
    return signer.objects(intent)(key, version)


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with S3Server(region=REGION) as server:
        server.add_key(KEY.access_key_id, KEY.secret_access_key)
        server.add_bucket("bucket", versioned=True).put("a b/ü.jpg", BODY, "image/jpeg")
        yield server


@pytest.fixture
def signer(s3: S3Server) -> UrlSigner:
    return s3_signer(location(s3.origin), KEY)


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


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("path_style", [True, False])
async def test_hostile_keys_travel_as_they_were_signed(
    s3: S3Server, get: Client, path_style: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 13: the path on the wire is the signed one, and it names the very key."""
    _resolve_localhost(monkeypatch)
    signer = s3_signer(
        location(s3.origin if path_style else s3.domain_origin, path_style=path_style), KEY
    )
    for number, key in enumerate(SIGNABLE):
        body = f"object {number}".encode()
        s3.buckets["bucket"].put(key, body)
        url = url_of(signer, key)
        assert await get(url) == (200, body), ascii(key)
        assert url.endswith(s3.seen[-1].target), ascii(key)


def _resolve_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests asks the system, which needn't know ``bucket.localhost``."""
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: object, **options: object) -> object:
        known = "127.0.0.1" if str(host).endswith(".localhost") else host
        return real(known, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def test_dot_segments_would_be_rewritten_on_their_way(s3: S3Server) -> None:
    """Why the domain refuses such keys: plain clients ask for another object than was signed."""
    s3.add_bucket("other").put("k", b"not yours")
    url = url_of(s3_signer(location(s3.origin), KEY), "../other/k")
    assert (await get_by_requests(url))[0] == 403
    assert s3.seen[-1].path == "/other/k"


async def test_no_credential_travels_but_the_signature(s3: S3Server, signer: UrlSigner) -> None:
    assert (await get_by_aiohttp(url_of(signer)))[0] == 200
    (seen,) = s3.seen
    assert seen.header("authorization") is None
    assert KEY.secret_access_key not in seen.target + str(seen.headers)


async def test_what_was_not_signed_is_refused(s3: S3Server, signer: UrlSigner) -> None:
    s3.add_key(OTHER.access_key_id, OTHER.secret_access_key)
    url = url_of(signer)
    stranger = s3_signer(location(s3.origin), replace(KEY, secret_access_key="guessed-it"))
    elsewhere = s3_signer(replace(location(s3.origin), region="us-west-2"), KEY)
    refused = {
        "tampered": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "other key id": url.replace(KEY.access_key_id, OTHER.access_key_id),
        "other secret": url_of(stranger),
        "other region": url_of(elsewhere),
        "expired": url_of(signer, expires=60, age=60),
        "from tomorrow": url_of(signer, age=-1000),
        "unsigned": url.partition("?")[0],
        "other object": url.replace("%C3%BC", "u"),
        "a version added": url + "&versionId=null",
        "response type added": url + "&response-content-type=text%2Fhtml",
    }
    for case, wrong in refused.items():
        status, body = await get_by_aiohttp(wrong)
        assert status in (400, 403), case
        assert BODY not in body, case
    for method in ("HEAD", "PUT", "DELETE"):
        assert (await by_aiohttp(url, method))[0] == 403


async def test_dropping_the_key_ends_its_urls(s3: S3Server, signer: UrlSigner) -> None:
    url = url_of(signer, expires=604_800)
    assert (await get_by_aiohttp(url))[0] == 200
    s3.drop_key(KEY.access_key_id)
    assert (await get_by_aiohttp(url))[0] == 403


async def test_session_tokens_are_part_of_the_url(s3: S3Server) -> None:
    temporary = AccessKey("ASIATEMP", "temporary-secret", "IQoJ+/tok==")
    s3.add_key(temporary.access_key_id, temporary.secret_access_key, temporary.session_token)
    url = url_of(s3_signer(location(s3.origin), temporary))
    assert await get_by_aiohttp(url) == (200, BODY)
    without = url_of(s3_signer(location(s3.origin), replace(temporary, session_token="")))
    assert (await get_by_aiohttp(without))[0] == 400


async def test_versions(s3: S3Server, signer: UrlSigner) -> None:
    bucket = s3.buckets["bucket"]
    ids = [bucket.put("v?ersioned", body).version_id for body in (b"one", b"two")]
    for version, body in zip(ids, (b"one", b"two"), strict=True):
        url = url_of(signer, "v?ersioned", version=version)
        status, got, headers = await by_aiohttp(url)
        assert (status, got, headers["x-amz-version-id"]) == (200, body, version)
    swapped = url_of(signer, "v?ersioned", version=ids[0]).replace(ids[0], ids[1])
    assert (await get_by_aiohttp(swapped))[0] == 403
    gone = url_of(signer, "v?ersioned", Method.DELETE, version=ids[0])
    assert (await by_aiohttp(gone, "DELETE"))[0] == 204
    assert [v.version_id for v in bucket.versions("v?ersioned")] == ids[1:]


async def test_put_creates_and_never_replaces(s3: S3Server, signer: UrlSigner) -> None:
    url = url_of(signer, "new.jpg", Method.PUT)
    required = dict(signer.required_headers(Method.PUT))
    assert required == {"If-None-Match": "*"}
    bare = await by_aiohttp(url, "PUT", None, b"zero")
    assert bare[0] == 403
    other = await by_aiohttp(url, "PUT", {"If-None-Match": '"etag"'}, b"zero")
    assert other[0] == 403
    assert (await by_aiohttp(url, "PUT", required, b"one"))[0] == 200
    assert (await by_aiohttp(url, "PUT", required, b"two"))[0] == 412
    current = s3.buckets["bucket"].current("new.jpg")
    assert current is not None
    assert current.body == b"one"


async def test_head_and_response_overrides(s3: S3Server, signer: UrlSigner) -> None:
    overrides = ResponseOverrides("image/png", 'attachment; filename="ü %2F.png"', "max-age=60")
    for method in (Method.GET, Method.HEAD):
        url = url_of(signer, method=method, overrides=overrides)
        status, body, headers = await by_aiohttp(url, method.value)
        assert (status, body) == (200, BODY if method is Method.GET else b"")
        assert headers["Content-Type"] == "image/png"
        assert headers["Content-Disposition"].startswith("attachment; filename=")
        assert headers["Cache-Control"] == "max-age=60"
    html = url_of(signer, overrides=overrides).replace("image%2Fpng", "text%2Fhtml")
    assert (await get_by_aiohttp(html))[0] == 403
    without = url_of(signer, overrides=overrides).replace("response-content-disposition", "x")
    assert (await get_by_aiohttp(without))[0] == 403


async def test_requester_pays(s3: S3Server) -> None:
    s3.buckets["bucket"].requester_pays = True
    payer = replace(location(s3.origin), requester_pays=True)
    assert (await get_by_aiohttp(url_of(s3_signer(payer, KEY))))[0] == 200
    assert (await get_by_aiohttp(url_of(s3_signer(location(s3.origin), KEY))))[0] == 403


async def test_a_listing_url_is_good_for_exactly_its_page(s3: S3Server, signer: UrlSigner) -> None:
    """Row 17: S3 signs the prefix, so no other can be listed."""
    for key in ("team/a 1", "team/a+2", "team/b/3", "teams", "other"):
        s3.buckets["bucket"].put(key, b"x")
    intent = ListIntent(Audience.INTERNAL, Instant(utc_now(), 60), "team/", "/", page_size=2)
    url = signer.listing(intent)
    status, body = await get_by_aiohttp(url)
    root = ElementTree.fromstring(body)
    assert (status, [e.text for e in root.iter(f"{XML}Key")]) == (200, ["team/a+1", "team/a%2B2"])
    token = root.findtext(f"{XML}NextContinuationToken") or ""
    following = replace(intent, continuation_token=token)
    _, body = await get_by_aiohttp(signer.listing(following))
    commons = ElementTree.fromstring(body).iter(f"{XML}CommonPrefixes")
    assert [e.findtext(f"{XML}Prefix") for e in commons] == ["team/b/"]
    for wrong in (
        url.replace("prefix=team%2F", "prefix=other"),
        url.replace("prefix=team%2F", "prefix="),
        url.replace("&prefix=team%2F", ""),
        url.replace("max-keys=2", "max-keys=3"),
        url + "&start-after=team%2Fa%201",
        url + "&prefix=",
    ):
        assert wrong != url
        assert (await get_by_aiohttp(wrong))[0] in (400, 403)


async def test_a_listing_of_everything_cannot_be_narrowed_either(
    s3: S3Server, signer: UrlSigner
) -> None:
    url = signer.listing(ListIntent(Audience.INTERNAL, Instant(utc_now(), 60)))
    assert (await get_by_aiohttp(url))[0] == 200
    assert (await get_by_aiohttp(url + "&prefix=a"))[0] == 403
