"""The tests' own S3 server proves that it refuses what AWS refuses; boto3 is the oracle.

None of this uses our signer: the URLs come from boto3, so the two can't share a mistake.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote_plus
from xml.etree import ElementTree

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from yarl import URL

from tests.fakes.s3 import faults
from tests.fakes.s3.auth import ACTIONS
from tests.fakes.s3.store import CorsRule
from tests.fakes.s3server import S3Server

REGION = "eu-west-1"
KEY_ID, SECRET = "AKIDEXAMPLE", "secret/with+odd=characters"
BODY = bytes(range(256)) * 4


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes


async def fetch(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes = b""
) -> Answer:
    """The URL as it stands, no redirects."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method,
            URL(url, encoded=True),
            headers=headers or {},
            data=data or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=10),
        ) as response,
    ):
        return Answer(response.status, response.headers, await response.read())


def client(origin: str, key_id: str = KEY_ID, secret: str = SECRET, **options: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=origin,
        region_name=options.pop("region", REGION),
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=options.pop("token", None),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": options.pop("style", "path")},
            retries={"max_attempts": 0},
        ),
    )


def presign(s3: S3Server, operation: str = "get_object", **options: Any) -> str:
    """A URL from boto3; what isn't an option of ``client`` is a parameter of the operation."""
    made_by = client(
        s3.origin,
        **{n: options.pop(n) for n in ("key_id", "secret", "region", "token") if n in options},
    )
    at = options.pop("at", None)
    expires = options.pop("expires", 600)
    params = {
        "Bucket": "bucket",
        **({} if operation.startswith("list") else {"Key": "a b/ü.jpg"}),
        **options,
    }
    with patch("botocore.auth.get_current_datetime", return_value=at or datetime.now(UTC)):
        url: str = made_by.generate_presigned_url(operation, params, ExpiresIn=expires)
    return url


def code_of(answer: Answer) -> str:
    return ElementTree.fromstring(answer.body).findtext("Code") or ""


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with S3Server(region=REGION) as server:
        server.add_key(KEY_ID, SECRET)
        server.add_bucket("bucket").put("a b/ü.jpg", BODY, "image/jpeg")
        yield server


async def test_a_signed_get_answers_with_the_object(s3: S3Server) -> None:
    answer = await fetch(presign(s3))
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert s3.seen[-1].header("authorization") is None


def _replaced(old: str, new: str) -> Callable[[str], str]:
    def change(url: str) -> str:
        assert old in url
        return url.replace(old, new)

    return change


MISMATCH, BAD_QUERY = "SignatureDoesNotMatch", "AuthorizationQueryParametersError"
TAMPERED: dict[str, tuple[Callable[[str], str], int, str]] = {
    "signature": (lambda u: u[:-1] + ("0" if u[-1] != "0" else "1"), 403, MISMATCH),
    "key": (_replaced("/a%20b/", "/a%20c/"), 403, MISMATCH),
    "key, encoded otherwise": (_replaced("a%20b", "%61%20b"), 403, MISMATCH),
    "longer life": (_replaced("Expires=600", "Expires=601"), 403, MISMATCH),
    "further parameter": (lambda u: u + "&versionId=x", 403, MISMATCH),
    "parameter twice": (lambda u: u + "&X-Amz-Expires=600", 400, BAD_QUERY),
    "unsigned": (lambda u: u.partition("?")[0], 403, "AccessDenied"),
    "no signature": (lambda u: u.partition("&X-Amz-Signature")[0], 400, BAD_QUERY),
    "no host signed": (_replaced("Headers=host", "Headers=date"), 400, BAD_QUERY),
    "token added": (lambda u: u + "&X-Amz-Security-Token=t", 400, "InvalidToken"),
    "8 days": (_replaced("Expires=600", "Expires=691200"), 400, BAD_QUERY),
}


@pytest.mark.parametrize("case", TAMPERED)
async def test_tampering_is_refused(s3: S3Server, case: str) -> None:
    change, status, code = TAMPERED[case]
    answer = await fetch(change(presign(s3)))
    assert (answer.status, code_of(answer)) == (status, code)
    assert BODY not in answer.body


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"key_id": "AKIDUNKNOWN"}, 403, "InvalidAccessKeyId"),
        ({"secret": "another-secret"}, 403, "SignatureDoesNotMatch"),
        ({"region": "us-west-2"}, 400, "AuthorizationQueryParametersError"),
        ({"token": "not-this-one"}, 400, "InvalidToken"),
        ({"expires": 604_801}, 400, "AuthorizationQueryParametersError"),
    ],
)
async def test_wrong_credentials_are_refused(
    s3: S3Server, options: dict[str, Any], status: int, code: str
) -> None:
    answer = await fetch(presign(s3, **options))
    assert (answer.status, code_of(answer)) == (status, code)


@pytest.mark.parametrize(
    ("age", "expires", "status", "message"),
    [
        (0, 600, 200, None),
        (599, 600, 200, None),
        (600, 600, 403, "Request has expired"),
        (604_799, 604_800, 200, None),
        (-899, 600, 200, None),
        (-901, 600, 403, "Request is not valid yet"),
    ],
)
async def test_time(s3: S3Server, age: int, expires: int, status: int, message: str | None) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    s3.clock = lambda: now
    answer = await fetch(presign(s3, at=now - timedelta(seconds=age), expires=expires))
    assert answer.status == status
    if message is not None:
        assert ElementTree.fromstring(answer.body).findtext("Message") == message


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
async def test_a_get_url_is_good_for_get_alone(s3: S3Server, method: str) -> None:
    assert (await fetch(presign(s3), method, data=b"x")).status == 403
    current = s3.buckets["bucket"].current("a b/ü.jpg")
    assert current is not None
    assert current.body == BODY


async def test_sessions_need_their_token_and_end_before_the_url_does(s3: S3Server) -> None:
    now = datetime.now(UTC)
    s3.add_key("ASIATEMP", SECRET, "tok+/=", session_expires=now + timedelta(seconds=60))
    url = presign(s3, key_id="ASIATEMP", token="tok+/=", at=now)
    assert (await fetch(url)).status == 200
    assert code_of(await fetch(presign(s3, key_id="ASIATEMP"))) == "InvalidToken"
    s3.clock = lambda: now + timedelta(seconds=61)
    assert code_of(await fetch(url)) == "ExpiredToken"


async def test_keys_come_and_go_at_run_time(s3: S3Server) -> None:
    s3.add_key("AKIDSECOND", "second-secret")
    second = presign(s3, key_id="AKIDSECOND", secret="second-secret")
    assert (await fetch(second)).status == 200
    s3.drop_key("AKIDSECOND")
    assert code_of(await fetch(second)) == "InvalidAccessKeyId"
    assert (await fetch(presign(s3))).status == 200


async def test_errors_echo_what_must_not_be_passed_on(s3: S3Server) -> None:
    answer = await fetch(presign(s3, secret="another-secret"))
    root = ElementTree.fromstring(answer.body)
    assert root.findtext("AWSAccessKeyId") == KEY_ID
    assert (root.findtext("StringToSign") or "").startswith("AWS4-HMAC-SHA256\n")
    assert root.findtext("SignatureProvided")


async def test_unsigned_amz_headers_are_refused(s3: S3Server) -> None:
    answer = await fetch(presign(s3), headers={"x-amz-request-payer": "requester"})
    assert (answer.status, code_of(answer)) == (403, "AccessDenied")


async def test_header_signed_requests_from_boto3(s3: S3Server) -> None:
    def use() -> None:
        ours = client(s3.origin)
        ours.put_object(Bucket="bucket", Key="n", Body=b"new" * 1000, ContentType="text/plain")
        got = ours.get_object(Bucket="bucket", Key="n")
        assert (got["Body"].read(), got["ContentType"]) == (b"new" * 1000, "text/plain")
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            client(s3.origin, secret="another-secret").get_object(Bucket="bucket", Key="n")
        ours.delete_object(Bucket="bucket", Key="n")
        with pytest.raises(ClientError, match="NoSuchKey"):
            ours.get_object(Bucket="bucket", Key="n")

    await asyncio.to_thread(use)


async def test_versions(s3: S3Server) -> None:
    bucket = s3.add_bucket("versioned", versioned=True)
    first, second = (bucket.put("k", body).version_id for body in (b"one", b"two"))
    newest = await fetch(presign(s3, Bucket="versioned", Key="k"))
    assert (newest.body, newest.headers["x-amz-version-id"]) == (b"two", second)
    oldest = await fetch(presign(s3, Bucket="versioned", Key="k", VersionId=first))
    assert (oldest.body, oldest.headers["x-amz-version-id"]) == (b"one", first)
    gone = await fetch(presign(s3, "delete_object", Bucket="versioned", Key="k"), "DELETE")
    assert (gone.status, gone.headers["x-amz-delete-marker"]) == (204, "true")
    assert (await fetch(presign(s3, Bucket="versioned", Key="k"))).status == 404
    assert (await fetch(presign(s3, Bucket="versioned", Key="k", VersionId=first))).body == b"one"
    wrong = await fetch(presign(s3, Bucket="versioned", Key="k", VersionId="nope"))
    assert (wrong.status, code_of(wrong)) == (404, "NoSuchVersion")


async def test_create_only_put(s3: S3Server) -> None:
    url = presign(s3, "put_object", Key="new", IfNoneMatch="*")
    headers = {"If-None-Match": "*"}
    assert (await fetch(url, "PUT", data=b"x")).status == 403  # signed, so it must be sent
    assert (await fetch(url, "PUT", headers, b"one")).status == 200
    again = await fetch(url, "PUT", headers, b"two")
    assert (again.status, code_of(again)) == (412, "PreconditionFailed")
    current = s3.buckets["bucket"].current("new")
    assert current is not None
    assert current.body == b"one"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=1000-", 1000, 1023),
        ("bytes=-4", 1020, 1023),
    ],
)
async def test_ranges(s3: S3Server, wanted: str, first: int, last: int) -> None:
    answer = await fetch(presign(s3), headers={"Range": wanted})
    assert (answer.status, answer.body) == (206, BODY[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(BODY)}"


async def test_a_range_behind_the_end_is_refused(s3: S3Server) -> None:
    assert (await fetch(presign(s3), headers={"Range": "bytes=5000-"})).status == 416


async def test_head_and_overrides(s3: S3Server) -> None:
    head = await fetch(presign(s3, "head_object"), "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(BODY))
    url = presign(s3, ResponseContentType="text/plain", ResponseContentDisposition="attachment")
    answer = await fetch(url)
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Disposition"] == "attachment"


async def test_without_the_right_to_list_a_missing_object_is_forbidden(s3: S3Server) -> None:
    missing = await fetch(presign(s3, Key="missing"))
    assert (missing.status, code_of(missing)) == (404, "NoSuchKey")
    s3.add_key(KEY_ID, SECRET, actions=ACTIONS - {"ListBucket"})
    hidden = await fetch(presign(s3, Key="missing"))
    assert (hidden.status, code_of(hidden)) == (403, "AccessDenied")
    assert (await fetch(presign(s3))).status == 200
    assert (await fetch(presign(s3, "list_objects_v2"))).status == 403


async def test_requester_pays(s3: S3Server) -> None:
    s3.add_bucket("payers", requester_pays=True).put("k", b"x")
    assert (await fetch(presign(s3, Bucket="payers", Key="k"))).status == 403
    paid = presign(s3, Bucket="payers", Key="k", RequestPayer="requester")
    assert (await fetch(paid, headers={"x-amz-request-payer": "requester"})).status == 200


async def test_cors(s3: S3Server) -> None:
    url = presign(s3)
    ask = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    assert (await fetch(url, "OPTIONS", ask)).status == 403
    s3.buckets["bucket"].cors = [CorsRule(origins=["https://app.example"], expose=["ETag"])]
    preflight = await fetch(url, "OPTIONS", {**ask, "Access-Control-Request-Headers": "range"})
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert preflight.headers["Access-Control-Allow-Headers"] == "range"
    simple = await fetch(url, headers={"Origin": "https://app.example"})
    assert simple.headers["Access-Control-Expose-Headers"] == "ETag"
    other = await fetch(url, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_virtual_hosts_and_paths_name_the_same_bucket(s3: S3Server) -> None:
    virtual = client(s3.domain_origin, style="virtual")
    url = virtual.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a b/ü.jpg"})
    host = f"bucket.localhost:{s3.port}"
    assert url.startswith(f"http://{host}/a%20b/")
    target = url.removeprefix(f"http://{host}")
    assert (await fetch(s3.origin + target, headers={"Host": host})).body == BODY
    assert (await fetch(s3.origin + target)).status == 403


LISTED = ["a", "a b", "a+b", "b%2Fc", "d/1", "d/2", "e/x/y", "f&<>\"'", "ü", "日本", "~-_.!*'()"]


def _entries(xml: bytes) -> tuple[list[str], list[str]]:
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    root = ElementTree.fromstring(xml)
    keys = [e.findtext(f"{space}Key") or "" for e in root.findall(f"{space}Contents")]
    commons = root.findall(f"{space}CommonPrefixes")
    return keys, [e.findtext(f"{space}Prefix") or "" for e in commons]


@pytest.fixture(scope="module")
def moto_origin() -> Any:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("size", [2, 5, 1000])
@pytest.mark.parametrize("prefix", ["", "d", "e/"])
async def test_listings_page_as_motos_do(
    s3: S3Server, moto_origin: str, delimiter: str, size: int, prefix: str
) -> None:
    bucket = s3.add_bucket("listed")
    for key in LISTED:
        bucket.put(key, b"x")

    def pages(origin: str, *, create: bool) -> list[tuple[list[str], list[str]]]:
        ours = client(origin)
        if create:
            configuration = {"LocationConstraint": REGION}
            name = f"listed-{size}-{len(delimiter)}-{len(prefix)}"
            ours.create_bucket(Bucket=name, CreateBucketConfiguration=configuration)
            for key in LISTED:
                ours.put_object(Bucket=name, Key=key, Body=b"x")
        else:
            name = "listed"
        paginator = ours.get_paginator("list_objects_v2").paginate(
            Bucket=name, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
        )
        return [
            (
                [entry["Key"] for entry in page.get("Contents", [])],
                [entry["Prefix"] for entry in page.get("CommonPrefixes", [])],
            )
            for page in paginator
        ]

    ours = await asyncio.to_thread(pages, s3.origin, create=False)
    motos = await asyncio.to_thread(pages, moto_origin, create=True)
    assert ours == motos
    if not delimiter:
        assert [k for keys, _ in ours for k in keys] == sorted(
            k for k in LISTED if k.startswith(prefix)
        )


async def test_listed_keys_are_encoded_as_moto_encodes_them(s3: S3Server, moto_origin: str) -> None:
    bucket = s3.add_bucket("encoded")
    for key in LISTED:
        bucket.put(key, b"x")
    ours = await fetch(presign(s3, "list_objects_v2", Bucket="encoded", EncodingType="url"))

    def ask_moto() -> bytes:
        theirs = client(moto_origin)
        theirs.create_bucket(
            Bucket="encoded", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        for key in LISTED:
            theirs.put_object(Bucket="encoded", Key=key, Body=b"x")
        raw: list[bytes] = []
        theirs.meta.events.register(
            "before-parse.s3.ListObjectsV2",
            lambda response_dict, **_: raw.append(response_dict["body"]),
        )
        theirs.list_objects_v2(Bucket="encoded", EncodingType="url")
        return raw[0]

    motos = await asyncio.to_thread(ask_moto)
    # A space is "+" at AWS and here, "%20" at moto: unquote_plus reads the same keys from all.
    decoded = [[unquote_plus(key) for key in _entries(xml)[0]] for xml in (ours.body, motos)]
    assert decoded[0] == decoded[1] == sorted(LISTED)
    assert "a+b" in _entries(ours.body)[0]
    assert [key.replace("+", "%20") for key in _entries(ours.body)[0]] == _entries(motos)[0]


async def test_start_after_and_a_wrong_token(s3: S3Server) -> None:
    for key in ("k1", "k2", "k3"):
        s3.buckets["bucket"].put(key, b"x")
    answer = await fetch(presign(s3, "list_objects_v2", StartAfter="k1", MaxKeys=1))
    assert _entries(answer.body)[0] == ["k2"]
    wrong = await fetch(presign(s3, "list_objects_v2", ContinuationToken="%%%"))
    assert (wrong.status, code_of(wrong)) == (400, "InvalidArgument")


async def test_status_faults_come_as_often_as_asked(s3: S3Server) -> None:
    s3.faults.inject(faults.status(503, "SlowDown"), times=2)
    url = presign(s3)
    assert [(await fetch(url)).status for _ in range(3)] == [503, 503, 200]


async def test_broken_bodies(s3: S3Server) -> None:
    url = presign(s3)
    for fault in (faults.truncate(), faults.drop()):
        s3.faults.clear()
        s3.faults.inject(fault, times=2)
        with pytest.raises(aiohttp.ClientError):
            await fetch(url)
    s3.faults.clear()
    s3.faults.inject(faults.corrupt())
    assert (await fetch(url)).body != BODY
    s3.faults.inject(faults.endless(limit=1_000_000))
    assert len((await fetch(url)).body) >= 1_000_000
    assert (await fetch(url)).body == BODY


async def test_slow_answers(s3: S3Server) -> None:
    url = presign(s3)
    for fault in (faults.drip(0.05), faults.hang()):
        s3.faults.inject(fault)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await fetch(url)


async def test_hostile_listings(s3: S3Server) -> None:
    url = presign(s3, "list_objects_v2", EncodingType="url")
    s3.faults.inject(faults.repeat_token("same"), times=2)
    for _ in range(2):
        body = (await fetch(url)).body
        assert b"<IsTruncated>true<" in body
        assert body.count(b"<NextContinuationToken>same<") == 1
    s3.faults.inject(faults.doctype())
    assert b"<!DOCTYPE" in (await fetch(url)).body


async def test_redirects_and_hooks(s3: S3Server) -> None:
    s3.hook = lambda seen: faults.redirect("http://127.0.0.1:9/x") if "jpg" in seen.path else None
    answer = await fetch(presign(s3))
    assert (answer.status, answer.headers["Location"]) == (307, "http://127.0.0.1:9/x")
    assert s3.seen[-1].method == "GET"
