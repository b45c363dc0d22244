"""The tests' own store in a thread of its own, so that it can be slow while processes die."""

import asyncio
import threading
from typing import Self

from sealmount.demo.stores import BUCKET, REGION, Key

from tests.fakes.s3.faults import Fault, Seen, hang
from tests.fakes.s3server import S3Server

_SECONDS = 15.0


class SlowStore:
    """``listing`` and ``reading`` are how many seconds an answer takes; change them at any time."""

    def __init__(self, key: Key) -> None:
        self.listing = 0.0
        self.reading = 0.0
        self._server = S3Server(region=REGION, hook=self._slowly)
        self._server.add_key(key.access_key_id, key.secret_access_key)
        self.bucket = self._server.add_bucket(BUCKET)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store", daemon=True)

    @property
    def origin(self) -> str:
        return self._server.origin

    def reset(self) -> None:
        """Empty, quick, and with no memory of what it was asked."""
        self.listing = self.reading = 0.0
        self.bucket = self._server.add_bucket(BUCKET)
        self._server.seen.clear()

    def asked(self, key: str) -> bool:
        """Whether somebody asked for this object."""
        return any(seen.path.endswith(f"/{key}") for seen in list(self._server.seen))

    def _slowly(self, seen: Seen) -> Fault | None:
        seconds = self.listing if "list-type=2" in seen.target else self.reading
        return hang(seconds) if seconds else None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(_SECONDS)
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()
