"""An S3 server of the tests' own that verifies every signature, over real HTTP on loopback.

    async with S3Server(region="eu-west-1") as s3:
        s3.add_key("AKIDEXAMPLE", "a-long-secret")
        s3.add_bucket("bucket", versioned=True).put("a.jpg", b"…", "image/jpeg")
        ...  # s3.origin is the endpoint, "http://127.0.0.1:12345"
        s3.faults.inject(faults.status(503, "SlowDown"), times=2)
        assert not any(seen.header("authorization") for seen in s3.seen)

It knows what rclone's server doesn't: versions, create-only PUT, hostile keys, CORS, sessions,
missing permissions and faults. Both addressing styles work: ``bucket.localhost`` in ``Host``, or
the bucket in the path. Alone, with an empty or a filled bucket:

    python -m tests.fakes.s3server --port 9000 --key id:secret --bucket b=folder
"""

import argparse
import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from aiohttp import web

from tests.fakes.s3.auth import ACTIONS, KeyRecord, Wire, percent_decode, verify
from tests.fakes.s3.errors import S3Error
from tests.fakes.s3.faults import Fault, Faults, Reply, Seen
from tests.fakes.s3.operations import Call, perform
from tests.fakes.s3.store import Bucket, CorsRule, cors_headers

MAX_BODY = 256 * 1024 * 1024
_MAX_LINE = 65_536
_REMEMBERED = 100_000


class S3Server:
    """``clock`` is what the server takes for now; ``hook`` sees each request before all else and
    may give a ``Fault`` for it. ``port`` 0 takes a free one."""

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        port: int = 0,
        base_domain: str = "localhost",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        hook: Callable[[Seen], Fault | None] = lambda _: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.region = region
        self.port = port
        self.clock = clock
        self.hook = hook
        self.faults = Faults()
        self.seen: deque[Seen] = deque(maxlen=_REMEMBERED)
        self.keys: dict[str, KeyRecord] = {}
        self.buckets: dict[str, Bucket] = {}
        self._base_domain = base_domain
        self._tls = tls
        self._runner: web.ServerRunner | None = None

    @property
    def origin(self) -> str:
        """The endpoint for path-style addressing."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def domain_origin(self) -> str:
        """The endpoint under which buckets are subdomains; clients must resolve it themselves."""
        return f"{'https' if self._tls else 'http'}://{self._base_domain}:{self.port}"

    def add_key(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str = "",
        *,
        session_expires: datetime | None = None,
        actions: frozenset[str] = ACTIONS,
    ) -> None:
        """Takes effect at the next request; the same id again replaces what was there."""
        self.keys[access_key_id] = KeyRecord(
            access_key_id, secret_access_key, session_token, session_expires, actions
        )

    def drop_key(self, access_key_id: str) -> None:
        self.keys.pop(access_key_id, None)

    def add_bucket(
        self,
        name: str,
        *,
        versioned: bool = False,
        requester_pays: bool = False,
        cors: Sequence[CorsRule] = (),
    ) -> Bucket:
        bucket = Bucket(name, versioned, requester_pays, list(cors))
        self.buckets[name] = bucket
        return bucket

    async def start(self) -> None:
        server = web.Server(self._handle, max_line_size=_MAX_LINE, max_field_size=_MAX_LINE)
        self._runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in request.raw_headers
        )
        seen = Seen(request.method, request.raw_path, headers)
        self.seen.append(seen)
        fault = self.hook(seen) or self.faults.take(seen)
        try:
            reply = await self._reply(request, seen, fault)
        except S3Error as error:
            reply = self._refusal(seen, error)
        reply = self._with_cors(seen, reply)
        if fault is not None and fault.after is not None:
            reply = fault.after(reply)
        if fault is not None and fault.send is not None:
            return await fault.send(request, reply)
        return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)

    async def _reply(self, request: web.BaseRequest, seen: Seen, fault: Fault | None) -> Reply:
        if fault is not None and fault.before is not None:
            early = await fault.before()
            if early is not None:
                return early
        bucket, key = self._address(seen)
        if seen.method == "OPTIONS":
            return self._preflight(seen, bucket)
        body = await self._read_body(request, seen)
        wire = Wire(seen.method, seen.target, seen.headers, body)
        who = verify(wire, self.keys, self.region, self.clock())
        if bucket is None:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")
        return perform(Call(wire, who, bucket, key))

    async def _read_body(self, request: web.BaseRequest, seen: Seen) -> bytes:
        if (seen.header("expect") or "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        chunks, size = [], 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > MAX_BODY:
                raise S3Error(400, "EntityTooLarge", "The upload exceeds the maximum size")
            chunks.append(chunk)
        return b"".join(chunks)

    def _address(self, seen: Seen) -> tuple[Bucket | None, str]:
        """The bucket by host or by path, and the key, decoded but never normalised."""
        host = (seen.header("host") or "").rpartition(":")[0] or seen.header("host") or ""
        path = seen.path.removeprefix("/")
        if host.endswith("." + self._base_domain):
            name, key = host.removesuffix("." + self._base_domain), path
        else:
            name, _, key = path.partition("/")
        return self.buckets.get(percent_decode(name)), percent_decode(key)

    def _preflight(self, seen: Seen, bucket: Bucket | None) -> Reply:
        origin = seen.header("origin") or ""
        method = seen.header("access-control-request-method") or ""
        wanted = [
            name.strip()
            for name in (seen.header("access-control-request-headers") or "").split(",")
            if name.strip()
        ]
        rules = bucket.cors if bucket is not None else ()
        headers = cors_headers(rules, origin, method, wanted)
        if headers is None:
            message = "CORSResponse: This CORS request is not allowed."
            raise S3Error(403, "AccessForbidden", message)
        return Reply(200, headers)

    def _with_cors(self, seen: Seen, reply: Reply) -> Reply:
        origin = seen.header("origin")
        if origin is None or seen.method == "OPTIONS":
            return reply
        with contextlib.suppress(S3Error):
            bucket = self._address(seen)[0]
            headers = cors_headers(bucket.cors if bucket else (), origin, seen.method)
            return Reply(reply.status, {**reply.headers, **(headers or {})}, reply.body)
        return reply

    def _refusal(self, seen: Seen, error: S3Error) -> Reply:
        if error.status == 304:
            return Reply(304)
        headers = {"Content-Type": "application/xml", "x-amz-bucket-region": self.region}
        return Reply(error.status, headers, error.xml(seen.path))


def _fill(bucket: Bucket, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            bucket.put(path.relative_to(folder).as_posix(), path.read_bytes())


async def _serve(arguments: argparse.Namespace) -> None:
    async with S3Server(region=arguments.region, port=arguments.port) as s3:
        for key in arguments.key:
            s3.add_key(*key.split(":", 2))
        for bucket in arguments.bucket:
            name, _, folder = bucket.partition("=")
            created = s3.add_bucket(name, versioned=arguments.versioned)
            if folder:
                _fill(created, Path(folder))
        print(f"ready {s3.origin}", flush=True)
        await asyncio.Event().wait()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.s3server")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--key", action="append", default=[], metavar="ID:SECRET[:TOKEN]")
    parser.add_argument("--bucket", action="append", default=[], metavar="NAME[=FOLDER]")
    parser.add_argument("--versioned", action="store_true")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
