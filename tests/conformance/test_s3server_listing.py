"""The tests' own S3 server lists as moto does, which stands in for AWS's pages and encoding."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote_plus

import pytest
from moto.server import ThreadedMotoServer

from tests.conformance.s3_oracle import REGION, client, code_of, entries, fetch, presign, server
from tests.fakes.s3server import S3Server

LISTED = ["a", "a b", "a+b", "b%2Fc", "d/1", "d/2", "e/x/y", "f&<>\"'", "ü", "日本", "~-_.!*'()"]


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with server() as started:
        yield started


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
    decoded = [[unquote_plus(key) for key in entries(xml)[0]] for xml in (ours.body, motos)]
    assert decoded[0] == decoded[1] == sorted(LISTED)
    assert "a+b" in entries(ours.body)[0]
    assert [key.replace("+", "%20") for key in entries(ours.body)[0]] == entries(motos)[0]


async def test_start_after_and_a_wrong_token(s3: S3Server) -> None:
    for key in ("k1", "k2", "k3"):
        s3.buckets["bucket"].put(key, b"x")
    answer = await fetch(presign(s3, "list_objects_v2", StartAfter="k1", MaxKeys=1))
    assert entries(answer.body)[0] == ["k2"]
    wrong = await fetch(presign(s3, "list_objects_v2", ContinuationToken="%%%"))
    assert (wrong.status, code_of(wrong)) == (400, "InvalidArgument")
