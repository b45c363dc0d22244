"""The tests' own S3 server does with objects what S3 does; the URLs are boto3's."""

from collections.abc import AsyncIterator

import pytest

from tests.conformance.s3_oracle import (
    BODY,
    KEY_ID,
    SECRET,
    client,
    code_of,
    fetch,
    presign,
    server,
)
from tests.fakes.s3.auth import ACTIONS
from tests.fakes.s3.store import CorsRule
from tests.fakes.s3server import S3Server


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with server() as started:
        yield started


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
