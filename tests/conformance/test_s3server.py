"""The tests' own S3 server proves that it refuses what AWS refuses; boto3 is the oracle.

None of this uses our signer: the URLs come from boto3, so the two can't share a mistake.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.conformance.s3_oracle import (
    BODY,
    KEY_ID,
    REGION,
    SECRET,
    client,
    code_of,
    fetch,
    presign,
    server,
)
from tests.fakes.s3server import S3Server


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with server() as started:
        yield started


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


@pytest.mark.parametrize(
    ("sent", "late_by", "code"),
    [
        (b"one", 0, None),
        (b"two", 0, "XAmzContentSHA256Mismatch"),
        (b"one", 901, "RequestTimeTooSkewed"),
    ],
)
async def test_a_header_signs_body_and_time(
    s3: S3Server, sent: bytes, late_by: int, code: str | None
) -> None:
    url = f"{s3.origin}/bucket/n"
    request = AWSRequest("PUT", url, data=b"one")
    S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", REGION).add_auth(request)
    s3.clock = lambda: datetime.now(UTC) + timedelta(seconds=late_by)
    answer = await fetch(url, "PUT", dict(request.headers.items()), sent)
    assert (code_of(answer) if answer.status != 200 else None) == code


async def test_alone_it_serves_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "ü.jpg").write_bytes(BODY)
    command = [sys.executable, "-m", "tests.fakes.s3server", "--region", REGION]
    command += ["--key", f"{KEY_ID}:{SECRET}", "--bucket", f"bucket={tmp_path}"]
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        origin = line.decode().split()[1]
        url = client(origin).generate_presigned_url(
            "get_object", {"Bucket": "bucket", "Key": "a b/ü.jpg"}
        )
        assert (await fetch(url)).body == BODY
    finally:
        process.terminate()
        await process.wait()
