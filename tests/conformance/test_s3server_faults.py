"""The tests' own S3 server fails on demand, in every way that clients must survive."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.conformance.s3_oracle import BODY, fetch, presign, server
from tests.fakes.s3 import faults
from tests.fakes.s3server import S3Server


@pytest.fixture
async def s3() -> AsyncIterator[S3Server]:
    async with server() as started:
        yield started


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
