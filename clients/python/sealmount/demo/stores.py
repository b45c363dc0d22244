"""The customer's stores: `rclone serve s3` over a folder, a real server that verifies signatures.

Several access keys are good at once, which is how a customer rotates without an interruption; to
drop one, the server is started anew without it.
"""

import http.client
import os
import secrets
import shutil
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sealmount.commands.pair import free_port
from sealmount.commands.processes import Child, ChildDied, within

BUCKET = "photos"
REGION = "us-east-1"
_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


@dataclass(frozen=True, slots=True)
class Key:
    """An access key. The id stands in every URL signed with it; the secret in none."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def random(cls) -> "Key":
        """In Amazon's form. The secret has the letters that encodings change, for the search."""
        name = "".join(secrets.choice(_ID_LETTERS) for _ in range(16))
        text = "".join(secrets.choice(_SECRET_LETTERS) for _ in range(36))
        return cls(f"AKIA{name}", f"{text[:12]}+/{text[12:24]}/+{text[24:]}")


def rclone() -> str:
    """The program: the wheel's beside this Python, else the one on the PATH. ValueError if none."""
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise ValueError("the demo needs rclone: run `make demo`, or `uv sync`")
    return found


class Store:
    """One server on loopback. Its port stays the same over restarts."""

    def __init__(self, name: str, folder: Path, keys: Sequence[Key]) -> None:
        self.name = name
        self.folder = folder
        self.keys = list(keys)
        self.port = free_port()
        self._child: Child | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def objects(self) -> Path:
        """The folder that is the bucket."""
        return self.folder / "data" / BUCKET

    def start(self) -> None:
        """Raises ChildDied or TimeoutError when it doesn't answer within 15 seconds."""
        self.objects.mkdir(parents=True, exist_ok=True)
        command = [rclone(), "serve", "s3", str(self.folder / "data")]
        command += ["--addr", f"127.0.0.1:{self.port}", "--config", "", "--force-path-style"]
        command += ["--dir-cache-time", "0s"]
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("RCLONE_")}
        # By the environment, since every user of the machine can read a command line.
        pairs = [f'"{key.access_key_id},{key.secret_access_key}"' for key in self.keys]
        environment = {**inherited, "RCLONE_AUTH_KEY": ",".join(pairs)}
        child = Child(self.name, command, environment, self.folder / "rclone.log")
        child.start()
        self._child = child
        for _ in within(15.0, f"{self.name} answers"):
            if not child.alive:
                raise ChildDied(child)
            if self._answers():
                break

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(5.0)
            self._child = None

    def restart(self, keys: Sequence[Key]) -> None:
        """From now on only these keys are good: what a customer does to revoke one."""
        self.stop()
        self.keys = list(keys)
        self.start()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def __enter__(self) -> "Store":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
