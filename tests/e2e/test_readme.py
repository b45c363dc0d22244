"""The README's first calls, pasted: only ports and folders are others than those printed there."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from sealmount.commands.pair import free_port
from sealmount.commands.processes import within

from tests.needs import ROOT, path_of

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.needs("grpcurl", "rclone")]
_BLOCK = re.compile(r"<!-- tested: (\w+) -->\n```sh\n(.*?)```", re.DOTALL)
_PRINTED_PORTS = ("9000", "7443", "7444")


@dataclass(frozen=True)
class Reader:
    """Somebody who follows the README in a folder of their own."""

    folder: Path
    ports: tuple[int, ...]

    def block(self, name: str) -> str:
        text: str = dict(_BLOCK.findall((ROOT / "README.md").read_text()))[name]
        for printed, own in zip(_PRINTED_PORTS, self.ports, strict=True):
            text = text.replace(f"127.0.0.1:{printed}", f"127.0.0.1:{own}")
        # What `make up` stands for, with ports of our own.
        up = f"{ROOT}/.venv/bin/sealmount up --signer-port {self.ports[1]}"
        up += f" --catalog-port {self.ports[2]} --store-origin "
        text = text.replace("make up STORE=", up).replace("docs/images", f"{ROOT}/docs/images")
        return text.replace(" .venv/bin/", f" {ROOT}/.venv/bin/")

    def shell(self, name: str) -> subprocess.Popen[str]:
        """The block in a shell of its own, output in a file of its name."""
        grpcurl = path_of("grpcurl")
        assert grpcurl is not None
        path = f"{grpcurl.parent}:{os.environ['PATH']}"
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", self.block(name)],
                cwd=self.folder,
                env={**os.environ, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    @contextmanager
    def terminal(self, name: str, until: str) -> Iterator[None]:
        """A block that goes on running, once it has said that it is up; ended with Ctrl-C."""
        process = self.shell(name)
        try:
            for _ in within(60, f"{name} is up"):
                assert process.poll() is None, self.said(name)
                if until in self.said(name):
                    break
            yield
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        found = Reader(tmp_path, tuple(free_port() for _ in _PRINTED_PORTS))
        stack.enter_context(found.terminal("store", "Starting s3 server"))
        stack.enter_context(found.terminal("up", "Ctrl-C ends it."))
        yield found


def test_the_first_calls_end_with_a_url_that_opens(reader: Reader) -> None:
    calls = reader.shell("calls")
    calls.wait(120)
    said = reader.said("calls")
    assert calls.returncode == 0, said
    (url,) = re.findall(r'"url": "([^"]+)"', said)
    # grpcurl prints JSON, in which an ampersand is escaped.
    with urlopen(url.encode().decode("unicode_escape")) as response:
        content = response.read()
    originals = [path.read_bytes() for path in (ROOT / "docs" / "images").glob("*.png")]
    assert content in originals
    assert "demo-secret" not in said
