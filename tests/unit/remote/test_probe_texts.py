"""What a store says of an object is kept when it is as short as stores mean it."""

import pytest

from catalog.remote.guarded import StoreHttp
from catalog.remote.probe import MAX_ETAG_CHARS, MAX_VERSION_CHARS, probe
from catalog.remote.targets import StorePolicy
from tests.unit.remote.servers import RawServer, always, reply


@pytest.mark.parametrize("beyond", [0, 1])
async def test_a_tag_and_a_version_have_a_length(beyond: int) -> None:
    etag, version = "e" * (MAX_ETAG_CHARS + beyond), "v" * (MAX_VERSION_CHARS + beyond)
    headers = [("ETag", f'"{etag}"'), ("x-amz-version-id", version)]
    async with RawServer(always(reply(200, b"GIF89a\1\0\1\0", headers))) as server:
        policy = StorePolicy(frozenset({server.origin}))
        async with StoreHttp(policy) as http:
            found = await probe(http, f"{server.origin}/b/a.gif?X-Amz-Signature=s")
    assert (found.etag, found.version) == ((None, None) if beyond else (etag, version))
