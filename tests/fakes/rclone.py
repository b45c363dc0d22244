"""``rclone serve s3`` over a folder: a store of somebody else's making that verifies signatures.

    with Rclone(folder, [("AKIDEXAMPLE", "a-long-secret")]) as store:
        (folder / "bucket" / "a.jpg").write_bytes(…)  # buckets are the folders at the top
        ...  # store.origin is the endpoint
        store.restart([("AKIDOTHER", "another-secret")])  # same port, other keys

What it can't do: versions, create-only PUT, keys with ``//`` or a leading ``/``, CORS, session
tokens. It answers 400 where AWS says 403 to an expired or unsigned request.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

START_SECONDS = 15.0


def rclone_binary() -> str:
    """The wheel's program, beside the running Python; the one on the path when it isn't there."""
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise RuntimeError("rclone isn't installed: it comes with the development dependencies.")
    return found


class Rclone:
    """One server process on loopback; ``port`` 0 takes a free one and keeps it over restarts.

    ``keys`` are ``(access key id, secret)`` pairs. Raises ``RuntimeError`` with rclone's own words
    when it isn't ready within 15 seconds.
    """

    def __init__(self, folder: Path, keys: Sequence[tuple[str, str]], port: int = 0) -> None:
        self.folder = folder
        self.keys = list(keys)
        self.port = port or _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        command = [rclone_binary(), "serve", "s3", str(self.folder)]
        command += ["--addr", f"127.0.0.1:{self.port}", "--config", "", "--dir-cache-time", "0s"]
        command += ["--max-header-bytes", "65536", "--force-path-style"]
        for access_key_id, secret in self.keys:
            command += ["--auth-key", f"{access_key_id},{secret}"]
        environment = {n: v for n, v in os.environ.items() if not n.startswith("RCLONE_")}
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        self._wait_until_ready()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def restart(self, keys: Sequence[tuple[str, str]]) -> None:
        """The only way to drop a key: rclone reads its keys when it starts."""
        self.stop()
        self.keys = list(keys)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        process = self._process
        deadline = time.monotonic() + START_SECONDS
        while process is not None and time.monotonic() < deadline and process.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        self._fail()

    def _answers(self) -> bool:
        try:
            build_opener(ProxyHandler({})).open(self.origin, timeout=1).close()
        except HTTPError as refused:  # unsigned, so it must refuse; that is an answer
            refused.close()
        except (URLError, OSError):
            return False
        return True

    def _fail(self) -> None:
        process, self._process = self._process, None
        said = b""
        if process is not None:
            process.kill()
            said = process.communicate()[1] or b""
        raise RuntimeError(f"rclone didn't start: {said.decode(errors='replace')[-500:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
