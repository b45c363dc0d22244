"""The file behind the audit log, written by a thread of its own.

Records that arrive while a write is under way go out together with the next one, in one ``write``
and, in durable mode, under one ``fsync``. A file that hangs (a full pipe, a dead mount) holds up
this thread and never the event loop: whoever waits for a record gives up after a while, and no URL
leaves. After a failed write the file is cut back to the last whole record.
"""

import fcntl
import os
import queue
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from signer.audit.record import Chain

Done = Callable[[bool], None]
Wanted = Callable[[], bool]
_Item = tuple[dict[str, Any], Done, Wanted]
_MAX_GROUP = 256
# What may wait for a sink that hangs, in keys and records: some 50 MB of keys at the very most.
_MAX_WAITING = 50_000
_BLOCK = 64 * 1024


class FileSink:
    """Appends to one file, from one process. Raises OSError when the file can't be opened."""

    def __init__(self, path: Path, chain: Chain, *, durable: bool) -> None:
        self._chain = chain
        self._durable = durable
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._file = os.open(path, flags, 0o600)
        os.set_blocking(self._file, True)
        self._regular = stat.S_ISREG(os.fstat(self._file).st_mode)
        if self._regular:
            # Two writers would cut into each other's records: the second one fails to start.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _mend(self._file)
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._broken = False
        self._lock = threading.Lock()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def put(self, fields: dict[str, Any], done: Done, wanted: Wanted = lambda: True) -> None:
        """Takes a record; ``done`` is called with whether it is on file, mostly on the writer's
        thread: at once when too much is waiting already.

        A record that isn't ``wanted`` any more when its turn comes is left out: it would tell of
        URLs that never left.
        """
        weight = _weight(fields)
        with self._lock:
            full = self._waiting + weight > _MAX_WAITING
            self._waiting += 0 if full else weight
        if full:
            done(False)
        else:
            self._queue.put((fields, done, wanted))

    def close(self, timeout: float) -> None:
        """Writes what was put before and ends the thread, if it can within ``timeout`` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def hangs(self) -> bool:
        """Whether the writer's thread is still there, after :meth:`close` gave up on it."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while (group := self._group()) is not None:
            with self._lock:
                self._waiting -= sum(_weight(fields) for fields, _, _ in group)
            wanted = [item for item in group if item[2]()]
            written = not self._broken and self._write([fields for fields, _, _ in wanted])
            for _, done, _ in wanted:
                done(written)
        os.close(self._file)

    def _group(self) -> list[_Item] | None:
        first = self._queue.get()
        if first is None:
            return None
        group = [first]
        while len(group) < _MAX_GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            group.append(item)
        return group

    def _write(self, records: list[dict[str, Any]]) -> bool:
        before = (self._chain.previous, self._chain.sequence)
        size = os.fstat(self._file).st_size if self._regular else 0
        try:
            data = memoryview(b"".join(self._chain.link(fields) for fields in records))
            while data:
                data = data[os.write(self._file, data) :]
            if self._durable:
                os.fsync(self._file)
        except (OSError, TypeError, ValueError):  # the latter two: no record that JSON can hold
            self._chain.previous, self._chain.sequence = before
            self._cut_back(size)
            return False
        return True

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
        except OSError:
            # Half a record stands in the log for good: nothing may follow it.
            self._broken = True


def _weight(fields: dict[str, Any]) -> int:
    return 1 + len(fields.get("keys", ()))


def _mend(file: int) -> None:
    """Cuts off half a record that a killed process left: nobody was told that it was taken."""
    size = end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(file, end)
