"""Signed S3 URLs at work on the tests' own verifying server: what they open, and what they don't.

It knows versions, create-only PUT, sessions and requester pays, which rclone's doesn't.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from signer.domain.signing import (
    Audience,
    Instant,
    ListIntent,
    Method,
    ResponseOverrides,
    UrlSigner,
)
from tests.conformance.s3_live import BODY, KEY, OTHER, REGION, XML, location, url_of
from tests.fakes.httpclients import by_aiohttp, get_by_aiohttp
from tests.fakes.s3server import S3Server
from tests.fakes.s3signing import AccessKey, s3_signer, utc_now


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with S3Server(region=REGION) as server:
        server.add_key(KEY.access_key_id, KEY.secret_access_key)
        server.add_bucket("bucket", versioned=True).put("a b/ü.jpg", BODY, "image/jpeg")
        yield server


@pytest.fixture
def signer(s3: S3Server) -> UrlSigner:
    return s3_signer(location(s3.origin), KEY)


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
