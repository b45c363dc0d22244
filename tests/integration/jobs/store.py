"""A store of synthetic objects on loopback: ListObjectsV2 and GET, with faults on demand.

It checks no signature and makes its pages up, so that it is never what a test waits for.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Self
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from aiohttp import web

PAGE = 1000
_TIME = "2025-01-02T03:04:05.000Z"
Answer = web.Response | None


def some_keys(count: int) -> list[str]:
    return [f"photos/{number:07}.jpg" for number in range(count)]


class SyntheticStore:
    """``keys`` are full keys; ``objects`` are the bodies of those that can be read.

    ``listings`` notes what each listing asked to go on after, ``reads`` which keys were read.
    ``most_open`` says how many requests there were at a time. URLs past their time are refused.
    ``fault`` sees every request ("list" or "get", and the number of it) and may answer it.
    """

    def __init__(self, keys: list[str], objects: Mapping[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.keys = sorted({*keys, *self.objects})
        self.listings: list[str] = []
        self.reads: list[str] = []
        self.fault: Callable[[str, int], Answer] = lambda _kind, _number: None
        self.delay = 0.0
        self.open = self.most_open = 0
        self.port = 0
        self._runner: web.ServerRunner | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(
            web.Server(self._handle), handler_cancellation=True, shutdown_timeout=0.2
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            return self._answer(request)
        finally:
            self.open -= 1

    def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "list-type" in request.query:
            self.listings.append(request.query.get("continuation-token") or _after(request))
            return self.fault("list", len(self.listings)) or self._list(request)
        key = unquote(request.raw_path.partition("?")[0]).removeprefix("/bkt/")
        self.reads.append(key)
        if float(request.query.get("not-after", "inf")) < time.time():
            return error(403, "AccessDenied")
        return self.fault("get", len(self.reads)) or self._get(request, key)

    def _list(self, request: web.BaseRequest) -> web.Response:
        prefix = request.query.get("prefix", "")
        token = request.query.get("continuation-token")
        if token:
            first = int(token.removeprefix("t"))
        else:
            after = _after(request)
            first = next((i for i, key in enumerate(self.keys) if key > after), len(self.keys))
        found = [key for key in self.keys[first : first + PAGE] if key.startswith(prefix)]
        following = first + PAGE
        more = f"t{following}" if following < len(self.keys) else ""
        return listing_page(found, more, self.objects)

    def _get(self, request: web.BaseRequest, key: str) -> web.Response:
        body = self.objects.get(key)
        if body is None:
            return error(404, "NoSuchKey")
        headers = {"ETag": f'"{etag(key)}"', "x-amz-version-id": f"v-{etag(key)}"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if asked is None:
            return web.Response(body=body, headers=headers)
        first, last = int(asked[1]), min(int(asked[2]), len(body) - 1)
        if first > last:
            return error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        return web.Response(status=206, body=body[first : last + 1], headers=headers)


def _after(request: web.BaseRequest) -> str:
    return request.query.get("start-after", "")


def etag(key: str) -> str:
    return f"e{len(key)}"


def error(status: int, code: str) -> web.Response:
    """An S3 error document that echoes what no log may have."""
    text = f"<Error><Code>{code}</Code><Message>X-Amz-Signature=echoed</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


def listing_page(
    keys: list[str], token: str, objects: Mapping[str, bytes] | None = None
) -> web.Response:
    bodies = objects or {}
    items = "".join(
        f"<Contents><Key>{escape(quote(key))}</Key><LastModified>{_TIME}</LastModified>"
        f"<ETag>&quot;{etag(key)}&quot;</ETag><Size>{len(bodies.get(key, b''))}</Size></Contents>"
        for key in keys
    )
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    text = (
        f"<ListBucketResult><EncodingType>url</EncodingType>"
        f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{more}{items}"
        f"</ListBucketResult>"
    )
    return web.Response(text=text, content_type="application/xml")
