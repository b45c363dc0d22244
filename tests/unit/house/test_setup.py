"""Setting up says what is missing and how to get it, and leaves nothing half made behind."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.needs import ROOT

SCRIPT = ROOT / "tools" / "make_venv.sh"


def interpreter(
    folder: Path, *, old: bool = False, bare: bool = False, breaks: bool = False
) -> Path:
    """A stand-in for Python: too old, without venv, or one whose venv breaks off."""
    path = folder / "python3"
    path.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"    *version_info*) exit {int(old)} ;;\n"
        f"    *ensurepip*) exit {int(bare)} ;;\n"
        f'    "-m venv "*) mkdir -p "$3/bin" && touch "$3/bin/python"; exit {int(breaks)} ;;\n'
        '    --version) echo "Python 3.9.9" ;;\n'
        "esac\n"
    )
    path.chmod(0o755)
    return path


def set_up(folder: Path, python: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), str(folder / "venv"), "0.0.0"],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("trait", "says"),
    [
        ("old", "Python 3.9.9 is too old: Python 3.11 or later is needed."),
        ("bare", "apt-get install python3-venv"),
        ("breaks", "couldn't make a virtual environment"),
    ],
)
def test_a_python_that_will_not_do_is_named(tmp_path: Path, trait: str, says: str) -> None:
    result = set_up(tmp_path, interpreter(tmp_path, **{trait: True}))
    assert result.returncode == 1
    assert says in result.stderr
    assert not (tmp_path / "venv").exists()


def test_no_python_at_all_is_named(tmp_path: Path) -> None:
    result = set_up(tmp_path, "no-such-python")
    assert result.returncode == 1
    assert "install Python 3.11 or later" in result.stderr


def test_help_lists_every_command_for_users() -> None:
    result = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make (\w+)", result.stdout, re.MULTILINE)
    assert listed == ["help", "demo", "up", "test", "check", "bench", "protos", "clean"]


def test_the_makefile_installs_the_locked_uv() -> None:
    command = ["make", "--dry-run", "--always-make", "test"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lock = (ROOT / "uv.lock").read_text()
    locked = re.search(r'^name = "uv"\nversion = "(.+)"$', lock, re.MULTILINE)
    assert locked is not None
    assert f'make_venv.sh ".venv" "{locked[1]}"' in result.stdout
