"""Somebody who keeps looking at the images, in the background, while everything changes beneath.

with Reader(desk, "photos", digests) as reader:
    ...
    reader.looks(since)          # what was asked for from that instant on
assert not reader.failures
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Self

import grpc

from sealmount.channels import refusal_of
from sealmount.commands.processes import within
from sealmount.demo.desk import Desk
from sealmount.demo.fetching import access_key_of, fetch, origin_of

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Look:
    """One image asked for and fetched. ``asked`` is ``time.monotonic()`` before the request."""

    asked: float
    access_key_id: str
    origin: str


class Reader:
    """``digests`` maps image names to the SHA-256 that their bytes must have, always.

    ``failures`` says what went wrong, by image name and without URLs: a refused call, an answer
    other than 200, other bytes.
    """

    def __init__(self, desk: Desk, bucket_id: str, digests: Mapping[str, str]) -> None:
        self.failures: list[str] = []
        self._desk = desk
        self._bucket_id = bucket_id
        self._digests = digests
        self._looks: list[Look] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> None:
        """Once; a reader that was stopped stays so."""
        self._thread.start()

    def looks(self, since: float = 0.0) -> list[Look]:
        """The looks that were asked for at ``since`` (``time.monotonic()``) or later."""
        return [look for look in list(self._looks) if look.asked >= since]

    def wait_for(self, count: int, since: float) -> list[Look]:
        """Waits until there are so many looks since then. TimeoutError after 20 seconds."""
        for _ in within(20.0, f"{count} more images read"):
            found = self.looks(since)
            if len(found) >= count or self.failures:
                break
        return self.looks(since)

    def stop(self) -> None:
        """Finishes what is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30.0)

    def _run(self) -> None:
        names = cycle(self._digests)
        while not self._stop.is_set():
            asked = time.monotonic()
            try:
                self._look(list(dict.fromkeys(islice(names, _AT_ONCE))), asked)
            except grpc.RpcError as error:
                refusal = refusal_of(error)
                self.failures.append(f"refused: {refusal.code.name} {refusal.reason}")
                self._stop.wait(0.1)
            except Exception as error:  # a reader that died would have no failures to show
                self.failures.append(f"the reader itself: {type(error).__name__}")
                raise

    def _look(self, names: list[str], asked: float) -> None:
        for outcome in self._desk.urls(self._bucket_id, names):
            answer = fetch(outcome.url) if outcome.url else None
            if answer is None:
                self.failures.append(f"{outcome.image}: {outcome.error.reason}")
            elif answer.status != 200:
                self.failures.append(f"{outcome.image}: HTTP {answer.status} {answer.why}")
            elif answer.digest != self._digests[outcome.image]:
                self.failures.append(f"{outcome.image}: other bytes")
            else:
                url = outcome.url
                self._looks.append(Look(asked, access_key_of(url), origin_of(url)))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
