"""The linter of the house rules fails on what it is there for."""

import subprocess
from pathlib import Path

import pytest

from tools import house_lint

# Put together here, since the linter reads this file, too.
PATHS = ["/ho" + "me/someone/x", "/ro" + "ot/x", "/Us" + "ers/someone", "C:\\Us" + "ers\\x"]
HOSTS = ["py" + "pi.org", "https://registry.npm" + "js.org/x", "proxy.gol" + "ang.org"]


def function(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize("text", PATHS + HOSTS)
def test_machines_and_registries_arent_named(text: str) -> None:
    assert len(list(house_lint.words("x", f"fine\nsee {text} there\n"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "/var/lib/x",
        "https://example.com/home/x",
        "$HOME/x",
        "~/home/x",
        "clients/work/x",
        "gcr.iot",
    ],
)
def test_other_paths_and_hosts_may_be(text: str) -> None:
    assert list(house_lint.words("x", text)) == []


@pytest.mark.parametrize(("lines", "count"), [(40, 0), (41, 1)])
def test_functions_stay_short(lines: int, count: int) -> None:
    found = list(house_lint.lengths("x.py", "\n\n" + function(lines)))
    assert len(found) == count
    assert all("x.py:3: f has" in line for line in found)


def test_methods_and_coroutines_are_functions_too() -> None:
    inner = "    async " + function(41).replace("\n", "\n    ")
    assert len(list(house_lint.lengths("x.py", f"class C:\n{inner}\n"))) == 1


@pytest.mark.parametrize(("lines", "count"), [(300, 0), (301, 1)])
def test_files_stay_short(lines: int, count: int) -> None:
    assert len(list(house_lint.lengths("x.py", "x = 1\n" * lines))) == count


def test_what_cant_be_parsed_is_an_offence() -> None:
    assert len(list(house_lint.lengths("x.py", "def"))) == 1


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    (tmp_path / "ignored").mkdir()
    (tmp_path / "ignored" / "x.py").write_text(function(50))
    (tmp_path / "x_pb2.py").write_text(function(50))
    (tmp_path / "uv.lock").write_text(HOSTS[0])
    (tmp_path / "picture.png").write_bytes(b"\xff\xfe" + PATHS[0].encode())
    return tmp_path


def test_generated_ignored_and_locked_files_are_left_alone(repository: Path) -> None:
    assert house_lint.main([str(repository)]) == 0


def test_each_offence_has_its_line(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "long.py").write_text(function(41) + f"x = '{PATHS[0]}'\n")
    assert house_lint.main([str(repository)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[:2] for line in lines] == [["long.py", "1"], ["long.py", "42"]]
