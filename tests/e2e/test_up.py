"""`sealmount up`: what it prints works as it stands, and it leaves nothing running behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sealmount.commands.pair import free_port
from sealmount.commands.processes import Child, Group, within

from tests.needs import ROOT, path_of

pytestmark = pytest.mark.xdist_group("e2e")
LAST_LINE = "Ctrl-C ends it."


class Up:
    """One `sealmount up`; the same folder and ports each time that it is started."""

    def __init__(self, folder: Path, group: Group) -> None:
        self.folder = folder / "state"
        self._log = folder / "up.log"
        self._group = group
        ports = [free_port(), free_port()]
        self._command = [sys.executable, "-m", "sealmount.cli", "up", "--dir", str(self.folder)]
        self._command += ["--signer-port", str(ports[0]), "--catalog-port", str(ports[1])]

    def start(self) -> Child:
        child = self._group.start(Child("up", self._command, dict(os.environ), self._log))
        for _ in within(150, "the pair is up"):
            self._group.check()
            if child.said(LAST_LINE):
                break
        return child

    @property
    def printed(self) -> str:
        return self._log.read_text()

    def again(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
        )

    def stop(self, child: Child) -> int | None:
        return self._group.stop(child)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Child]]:
    """One that runs, for the tests that leave it so."""
    with Group() as group:
        started = Up(tmp_path_factory.mktemp("up"), group)
        yield started, started.start()


def servers(up: Child) -> dict[str, int]:
    """The processes that it started, by what they do. Read from what everybody may read: the
    Signer makes itself unreadable even to its own user."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            words = stat.with_name("cmdline").read_text().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if parent == up.pid:
            found[" ".join(words[2:4])] = int(stat.parent.name)
    return found


def alive(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def commands(printed: str) -> list[str]:
    """The grpcurl commands as they were printed, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", " ", printed)
    return [line for line in joined.splitlines() if line.startswith("grpcurl ")]


def run(command: str) -> subprocess.CompletedProcess[str]:
    grpcurl = path_of("grpcurl")
    assert grpcurl is not None
    environment = {**os.environ, "PATH": f"{grpcurl.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_it_ends_cleanly_and_starts_again_and_dies_as_one(tmp_path: Path) -> None:
    with Group() as group:
        up = Up(tmp_path, group)
        first = up.start()
        made = {path: path.read_bytes() for path in up.folder.rglob("*.pem")}
        assert len(made) == 5
        started = servers(first)
        assert set(started) == {"signer serve", "catalog serve", "catalog worker"}
        assert up.stop(first) == 0
        assert alive(started.values()) == []

        second = up.start()
        assert {path: path.read_bytes() for path in up.folder.rglob("*.pem")} == made
        started = servers(second)
        os.kill(started["signer serve"], signal.SIGKILL)
        assert second.wait(60) == 1
        assert "signer ended with exit code -9" in up.printed
        assert alive(started.values()) == []


def test_nobody_else_can_read_what_it_made(up: tuple[Up, Child]) -> None:
    folder = up[0].folder
    assert folder.stat().st_mode & 0o777 == 0o700
    private = ["keyring.json", "signer.db", "catalog.db", "audit.jsonl", "credential.json"]
    for path in (*(folder / name for name in private), *folder.rglob("*.key")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_one_in_the_same_folder_is_refused(up: tuple[Up, Child]) -> None:
    second = up[0].again()
    assert second.returncode == 1
    assert "another pair is running" in second.stderr
    assert up[1].alive


@pytest.mark.needs("grpcurl")
def test_what_it_prints_works_as_it_stands(up: tuple[Up, Child]) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    template = up[0].folder / "credential.json"
    request = json.loads(template.read_text())
    request["scope"]["rules"][0]["bucket"] = "example-bucket"
    request["plain"]["aws_access_key"] = {
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": secret,
    }
    template.write_text(json.dumps(request))
    describe, store, bind, mount, start, shown = commands(up[0].printed)
    assert "rpc RotateBinding" in run(describe).stdout
    results = [
        run(command.replace("BUCKET", "example-bucket"))
        for command in (store, bind, mount, start, shown)
    ]
    assert [result.returncode for result in results] == [0] * 5, [r.stderr for r in results]
    stored, bound, mounted = (json.loads(result.stdout) for result in results[:3])
    assert stored["state"] == "STATE_ENABLED"
    assert bound["active"]["credential"] == stored["name"]
    assert mounted["binding"] == bound["name"]
    assert secret not in "".join(result.stdout + result.stderr for result in results)
    assert "-d @" in store
