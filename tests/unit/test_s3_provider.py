"""The S3 provider without a network: what it refuses, keeps and shows."""

import gc
import hmac
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from signer.domain.location import Location, Provider
from signer.domain.signing import (
    Audience,
    Instant,
    ListIntent,
    Method,
    ObjectIntent,
    ResponseOverrides,
)
from signer.providers.registry import KINDS
from tests.fakes.s3signing import AccessKey, s3_signer

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
BUCKET = Location(Provider.S3, "bucket", "eu-west-1")
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "cAnArY/s3cr3t+material=", "session-t0ken")
HOSTILE = Path(__file__).parent.parent / "conformance" / "hostile_keys.json"
AWS = KINDS["aws_access_key"]


def get(expires: int = 900, at: datetime = NOW) -> ObjectIntent:
    return ObjectIntent(Method.GET, Audience.PUBLIC, Instant(at, expires))


def test_the_example_in_amazons_documentation() -> None:
    """API/sigv4-query-string-auth.html, "An Example Presigned URL"; an oracle older than boto3."""
    location = Location(Provider.S3, "examplebucket", "us-east-1", "https://s3.amazonaws.com")
    at = datetime(2013, 5, 24, tzinfo=UTC)
    url = s3_signer(location, AccessKey(), at).objects(get(86_400, at))("test.txt")
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=")
    assert url.endswith("aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_only_the_days_asked_for_can_be_signed_on() -> None:
    signer = s3_signer(BUCKET, KEY, NOW)
    assert signer.days == {date(2026, 2, 2), date(2026, 2, 3), date(2026, 2, 4)}
    for at in (NOW - timedelta(days=2), NOW + timedelta(days=2)):
        with pytest.raises(LookupError):
            signer.objects(get(at=at))
        with pytest.raises(LookupError):
            signer.listing(ListIntent(Audience.PUBLIC, Instant(at, 60)))


@pytest.mark.parametrize("expires", [0, -1, 604_801])
def test_lifetimes_that_sigv4_does_not_know(expires: int) -> None:
    with pytest.raises(ValueError, match="604,800"):
        s3_signer(BUCKET, KEY, NOW).objects(get(expires))


@pytest.mark.parametrize(
    "at", [NOW.replace(tzinfo=None), NOW.astimezone(timezone(timedelta(hours=1)))]
)
def test_a_time_without_utc_is_refused(at: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        s3_signer(BUCKET, KEY, NOW).objects(get(at=at))


def test_an_empty_key_would_be_the_bucket_itself() -> None:
    for method in Method:
        make = s3_signer(BUCKET, KEY, NOW).objects(replace(get(), method=method))
        with pytest.raises(ValueError, match="empty"):
            make("")


def test_refusals_do_not_repeat_what_they_refuse() -> None:
    make = s3_signer(BUCKET, KEY, NOW).objects(get())
    for arguments in (("canary\ud800",), ("k", "canary\ud800")):
        with pytest.raises(ValueError, match="Unicode") as caught:
            make(*arguments)
        error: BaseException | None = caught.value
        assert error is not None
        assert error.__suppress_context__
        assert "canary" not in str(error)


def test_a_version_can_be_read_and_deleted_but_not_written() -> None:
    signer = s3_signer(BUCKET, KEY, NOW)
    for method in (Method.GET, Method.HEAD, Method.DELETE):
        url = signer.objects(replace(get(), method=method))("k", "v/1")
        assert "&versionId=v%2F1&X-Amz-Signature=" in url
    with pytest.raises(ValueError, match="version"):
        signer.objects(replace(get(), method=Method.PUT))("k", "v")


@pytest.mark.parametrize("method", [Method.PUT, Method.DELETE])
def test_response_overrides_are_for_reading(method: Method) -> None:
    intent = replace(get(), method=method, overrides=ResponseOverrides("a/b", "c", "d"))
    assert "response-" not in s3_signer(BUCKET, KEY, NOW).objects(intent)("k")


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_page_sizes_that_s3_does_not_know(size: int) -> None:
    intent = ListIntent(Audience.PUBLIC, Instant(NOW, 60), page_size=size)
    with pytest.raises(ValueError, match="1,000"):
        s3_signer(BUCKET, KEY, NOW).listing(intent)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://user@s3.example.com",
        "https://s3.example.com/path",
        "https://s3.example.com/",
        "https://s3.example.com?x",
        "https://s3.example.com#f",
        "ftp://s3.example.com",
        "s3.example.com",
        "https://",
    ],
)
def test_an_endpoint_is_an_origin(endpoint: str) -> None:
    for location in (replace(BUCKET, endpoint=endpoint), replace(BUCKET, public_endpoint=endpoint)):
        with pytest.raises(ValueError, match="endpoint"):
            s3_signer(location, KEY, NOW)


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({}, "https://bucket.s3.eu-west-1.amazonaws.com/k?"),
        ({"region": "cn-north-1"}, "https://bucket.s3.cn-north-1.amazonaws.com.cn/k?"),
        ({"path_style": True}, "https://s3.eu-west-1.amazonaws.com/bucket/k?"),
        ({"bucket": "b.dots"}, "https://s3.eu-west-1.amazonaws.com/b.dots/k?"),
        ({"endpoint": "https://minio.example.com"}, "https://bucket.minio.example.com/k?"),
        ({"endpoint": "https://minio.example.com:443"}, "https://bucket.minio.example.com/k?"),
        ({"endpoint": "http://minio:80"}, "http://bucket.minio/k?"),
        ({"endpoint": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/bucket/k?"),
        ({"endpoint": "http://[::1]:9000"}, "http://[::1]:9000/bucket/k?"),
        ({"public_endpoint": "https://cdn.example.com"}, "https://bucket.cdn.example.com/k?"),
    ],
)
def test_where_a_bucket_is_addressed(change: dict[str, Any], start: str) -> None:
    url = s3_signer(replace(BUCKET, **change), KEY, NOW).objects(get())("k")
    assert url.startswith(start)


@pytest.mark.parametrize("path_style", [False, True])
def test_no_key_moves_the_host(path_style: bool) -> None:
    """Row 16: the signed host is the binding's host, whatever the key, even one not signable."""
    signer = s3_signer(replace(BUCKET, path_style=path_style), KEY, NOW)
    host = "s3.eu-west-1.amazonaws.com" if path_style else "bucket.s3.eu-west-1.amazonaws.com"
    for case in json.loads(HOSTILE.read_text()):
        if "\ud800" in case["key"]:
            continue
        parts = urlsplit(signer.objects(get())(case["key"]))
        assert (parts.scheme, parts.netloc, parts.fragment) == ("https", host, "")
        assert parts.path.startswith("/bucket/" if path_style else "/")


def test_the_secret_is_wiped_and_nowhere_in_the_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers: list[bytearray] = []
    real = hmac.digest

    def spy(key: bytes | bytearray, message: bytes, digest: str) -> bytes:
        if isinstance(key, bytearray) and not any(key is seen for seen in buffers):
            assert KEY.secret_access_key.encode() in key
            buffers.append(key)
        return real(key, message, digest)

    monkeypatch.setattr(hmac, "digest", spy)
    signer = s3_signer(BUCKET, KEY, NOW)
    assert [bytes(buffer) for buffer in buffers] == [bytes(4 + len(KEY.secret_access_key))]
    assert KEY.secret_access_key not in "".join(map(repr, _reachable(signer)))
    assert not any(KEY.secret_access_key.encode() in b for b in _reachable(signer, bytes))


def _reachable(start: object, kind: type = object) -> list[Any]:
    """What the object holds, but for types and modules, which hold the whole program."""
    seen: dict[int, object] = {}
    todo = [start]
    while todo:
        for found in gc.get_referents(todo.pop()):
            if id(found) not in seen and not isinstance(found, type) and not callable(found):
                seen[id(found)] = found
                todo.append(found)
    return [found for found in seen.values() if isinstance(found, kind)]


def test_the_secret_is_wiped_when_deriving_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers: list[bytearray] = []

    def fail(key: bytearray, *_: object) -> bytes:
        buffers.append(key)
        raise RuntimeError

    monkeypatch.setattr(hmac, "digest", fail)
    with pytest.raises(RuntimeError):
        s3_signer(BUCKET, KEY, NOW)
    assert [any(buffer) for buffer in buffers] == [False]


def test_a_signer_shows_nothing_of_its_key() -> None:
    signer = s3_signer(BUCKET, KEY, NOW)
    for shown in (repr(signer), str(signer), repr(signer.objects(get()))):
        assert KEY.access_key_id not in shown
        assert KEY.session_token not in shown


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, []),
        ({"access_key_id": b"key"}, []),
        ({"session_token": b""}, []),
        ({"session_token": b"a" * 4096}, []),
        ({"access_key_id": b""}, ["access_key_id"]),
        ({"access_key_id": b"ab"}, ["access_key_id"]),
        ({"access_key_id": b"A" * 129}, ["access_key_id"]),
        ({"access_key_id": b"AKIA/canary"}, ["access_key_id"]),
        ({"access_key_id": b"AKIACANARY\n"}, ["access_key_id"]),
        ({"access_key_id": "ÄKIACANARY".encode()}, ["access_key_id"]),
        ({"secret_access_key": b""}, ["secret_access_key"]),
        ({"secret_access_key": b"1234567"}, ["secret_access_key"]),
        ({"secret_access_key": b"has a canary"}, ["secret_access_key"]),
        ({"secret_access_key": b"canarycanary\n"}, ["secret_access_key"]),
        ({"secret_access_key": b"x" * 257}, ["secret_access_key"]),
        ({"session_token": b"canary canary"}, ["session_token"]),
        ({"session_token": b"a" * 4097}, ["session_token"]),
    ],
)
def test_shapes_of_an_access_key(fields: dict[str, bytes], wrong: list[str]) -> None:
    good = {"access_key_id": b"AKIAIOSFODNN7EXAMPLE", "secret_access_key": b"x" * 40}
    given = {name: memoryview(value) for name, value in (good | fields).items()}
    problems = AWS.validate(given)
    assert [field for field, _ in problems] == wrong
    assert all("canary" not in problem.lower() for _, problem in problems)


@pytest.mark.parametrize(
    ("access_key_id", "hint"),
    [(b"AKIAIOSFODNN7EXAMPLE", "AKIA…MPLE"), (b"minioadmin", "…"), (b"", "…")],
)
def test_the_hint_says_whose_key_it_is_and_no_more(access_key_id: bytes, hint: str) -> None:
    assert AWS.principal_hint({"access_key_id": memoryview(access_key_id)}) == hint
