"""Our S3 presigner beside boto3's, byte for byte, over keys and parameters that nobody would pick.

Where the two differ, and why it doesn't matter:

- boto3 writes the operation's parameters first, in the order in which they were given, and the
  session token behind the signed headers; ours writes the canonical order. The canonical request
  is the same, so the signature is: each test compares it, and every parameter as it is encoded.
  Without parameters and session token the whole URL is compared.
- boto3 sends ``RequestPayer`` as a signed header, which a browser can't. AWS takes it as a query
  parameter too; boto3 is made to sign that by an event handler.
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config
from hypothesis import example, given, settings
from hypothesis import strategies as st

from signer.domain.location import Location, Provider, key_defect
from signer.domain.signing import (
    Audience,
    Instant,
    ListIntent,
    Method,
    ObjectIntent,
    ResponseOverrides,
)
from tests.fakes.s3signing import AccessKey, s3_signer

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1")
ENDPOINTS = ("", "https://minio.example.com:9000", "http://minio.example.com", "http://127.0.0.1:9")
HOSTILE = json.loads(Path(__file__).with_name("hostile_keys.json").read_text())
OPERATIONS = {
    Method.GET: "get_object",
    Method.HEAD: "head_object",
    Method.PUT: "put_object",
    Method.DELETE: "delete_object",
}

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
odd = st.lists(st.sampled_from([*"/.%+?#&=~ -_*'()\\é\u0301😀", "%2F", "//", "a"]), min_size=1)
object_keys = st.one_of(text, odd.map("".join))
values = st.one_of(st.just(""), st.from_regex(r"[ -~]{1,40}", fullmatch=True))
tokens = st.one_of(st.just(""), st.from_regex(r"[!-~]{1,60}", fullmatch=True))
locations = st.builds(
    Location,
    provider=st.just(Provider.S3),
    bucket=st.sampled_from(["bucket", "dotted.bucket", "b-1"]),
    region=st.sampled_from(REGIONS),
    endpoint=st.sampled_from(ENDPOINTS),
    path_style=st.booleans(),
    requester_pays=st.booleans(),
).filter(lambda at: "." not in at.bucket or "127.0.0.1" not in at.endpoint)  # boto3: my.b.127.0.0.1
instants = st.builds(Instant, st.just(NOW), st.integers(1, 604_800))


@cache
def boto3_client(location: Location, session_token: str) -> Any:
    key = AccessKey()
    client = boto3.client(
        "s3",
        region_name=location.region,
        endpoint_url=location.endpoint or None,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=session_token or None,
        config=Config(
            signature_version="s3v4",
            s3={
                "addressing_style": "path" if location.path_style else "virtual",
                "us_east_1_regional_endpoint": "regional",
            },
        ),
    )
    if location.requester_pays:
        client.meta.events.register("before-sign.s3", _requester_pays_in_query)
    return client


def _requester_pays_in_query(request: Any, **_: object) -> None:
    request.params["x-amz-request-payer"] = "requester"


def boto3_url(
    location: Location, session_token: str, operation: str, expires: int, **params: Any
) -> str:
    client = boto3_client(location, session_token)
    given_params = {name: value for name, value in params.items() if value}
    with patch("botocore.auth.get_current_datetime", return_value=NOW):
        url: str = client.generate_presigned_url(
            operation, {"Bucket": location.bucket, **given_params}, ExpiresIn=expires
        )
    return url


def assert_same(ours: str, theirs: str) -> None:
    our_base, _, our_query = ours.partition("?")
    their_base, _, their_query = theirs.partition("?")
    assert our_base == their_base
    assert sorted(our_query.split("&")) == sorted(their_query.split("&"))
    signature = "X-Amz-Signature="
    assert our_query.partition(signature)[2] == their_query.partition(signature)[2]
    ordered = their_query.partition("&" + signature)[0].split("&")
    if ordered == sorted(ordered):
        assert ours == theirs


def compare_object(
    location: Location, token: str, intent: ObjectIntent, key: str, version: str
) -> None:
    signer = s3_signer(location, AccessKey(session_token=token), NOW)
    reads = intent.method in (Method.GET, Method.HEAD)
    theirs = boto3_url(
        location,
        token,
        OPERATIONS[intent.method],
        intent.instant.expires,
        Key=key,
        VersionId=version,
        IfNoneMatch="*" if intent.method is Method.PUT else "",
        ResponseContentType=intent.overrides.content_type if reads else "",
        ResponseContentDisposition=intent.overrides.content_disposition if reads else "",
        ResponseCacheControl=intent.overrides.cache_control if reads else "",
    )
    assert_same(signer.objects(intent)(key, version), theirs)


@settings(max_examples=150, deadline=None)
@given(locations, tokens, st.sampled_from(Method), instants, object_keys, values, values, values)
def test_object_urls(
    location: Location,
    token: str,
    method: Method,
    instant: Instant,
    key: str,
    version: str,
    content_type: str,
    disposition: str,
) -> None:
    overrides = ResponseOverrides(content_type, disposition, cache_control=content_type)
    intent = ObjectIntent(method, Audience.INTERNAL, instant, overrides)
    compare_object(location, token, intent, key, "" if method is Method.PUT else version)


@settings(max_examples=100, deadline=None)
@given(st.booleans(), object_keys)
@example(False, "a\n/../b")
def test_the_whole_url_where_nothing_but_the_key_varies(path_style: bool, key: str) -> None:
    location = Location(Provider.S3, "bucket", "eu-west-1", path_style=path_style)
    intent = ObjectIntent(Method.GET, Audience.PUBLIC, Instant(NOW, 900))
    theirs = boto3_url(location, "", "get_object", 900, Key=key)
    assert s3_signer(location, AccessKey(), NOW).objects(intent)(key) == theirs


@settings(max_examples=100, deadline=None)
@given(
    locations,
    tokens,
    instants,
    st.one_of(st.just(""), object_keys),
    st.one_of(st.just(""), object_keys),
    st.sampled_from(["", "/", "é"]),
    tokens,
    st.integers(1, 1000),
)
def test_listing_urls(
    location: Location,
    token: str,
    instant: Instant,
    prefix: str,
    start_after: str,
    delimiter: str,
    continuation: str,
    page_size: int,
) -> None:
    intent = ListIntent(
        Audience.INTERNAL, instant, prefix, delimiter, start_after, continuation, page_size
    )
    theirs = boto3_url(
        location,
        token,
        "list_objects_v2",
        instant.expires,
        Prefix=prefix,
        StartAfter=start_after,
        Delimiter=delimiter,
        ContinuationToken=continuation,
        MaxKeys=page_size,
        EncodingType="url",
    )
    ours = s3_signer(location, AccessKey(session_token=token), NOW).listing(intent)
    assert "fetch-owner" not in ours
    assert_same(ours, theirs)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: ascii(case["key"])[:30])
@pytest.mark.parametrize("path_style", [False, True])
def test_hostile_keys(case: dict[str, str | None], path_style: bool) -> None:
    key = str(case["key"])
    assert key_defect(key) == case["defect"]
    if case["defect"] is None:
        location = Location(Provider.S3, "bucket", "eu-west-1", path_style=path_style)
        intent = ObjectIntent(Method.GET, Audience.PUBLIC, Instant(NOW, 60))
        compare_object(location, "", intent, key, "")


def test_public_urls_are_those_of_the_public_endpoint() -> None:
    inner, outer = "http://127.0.0.1:9000", "https://cdn.example.com"
    both = Location(Provider.S3, "bucket", "eu-west-1", inner, outer)
    for audience, endpoint in ((Audience.INTERNAL, inner), (Audience.PUBLIC, outer)):
        intent = ObjectIntent(Method.GET, audience, Instant(NOW, 60))
        alone = Location(Provider.S3, "bucket", "eu-west-1", endpoint)
        theirs = boto3_url(alone, "", "get_object", 60, Key="k")
        assert s3_signer(both, AccessKey(), NOW).objects(intent)("k") == theirs
