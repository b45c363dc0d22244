"""Holds the rules of the house that no other tool knows; prints one line per offence.

    python tools/house_lint.py [ROOT]

- a Python file has at most 300 lines, a function at most 40 (generated code excepted);
- no file names a path of somebody's machine, nor the host of a package registry: both would tie a
  checkout to one place (lock files excepted, which name the public index).
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE = 300
MAX_FUNCTION = 40
_GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$")
_LOCKS = frozenset({"uv.lock", "go.sum", "package-lock.json"})
_FORBIDDEN = {
    "a path of one machine": re.compile(
        r"(?<![\w.:/~$}-])(?:/(?:home|Users)/\w|/(?:root|work|workspace)/|[A-Z]:\\Users\\)"
    ),
    "the host of a package registry": re.compile(
        r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com"
        r"|proxy\.golang\.org|sum\.golang\.org|repo1?\.maven\.(?:org|apache\.org)|ghcr\.io"
        r"|(?:registry-1\.)?docker\.io|quay\.io|gcr\.io)\b"
    ),
}


def files(root: Path) -> list[Path]:
    """What is in the repository or about to be, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    paths = (root / name for name in sorted(set(listed.split("\0"))) if name)
    return [path for path in paths if path.is_file()]


def lengths(name: str, text: str) -> Iterator[str]:
    """Offences against the sizes, of one Python file."""
    count = len(text.splitlines())
    if count > MAX_FILE:
        yield f"{name}:{MAX_FILE + 1}: {count} lines, at most {MAX_FILE}: split the file"
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield f"{name}:{error.lineno}: not Python {sys.version_info.major}.{sys.version_info.minor}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MAX_FUNCTION:
                yield f"{name}:{node.lineno}: {node.name} has {size} lines, at most {MAX_FUNCTION}"


def words(name: str, text: str) -> Iterator[str]:
    """Offences against what no file may name."""
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in _FORBIDDEN.items():
            found = pattern.search(line)
            if found:
                yield f"{name}:{number}: names {what}: {found.group()}"


def offences(root: Path) -> Iterator[str]:
    for path in files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and the contract's baseline
        name = path.relative_to(root).as_posix()
        if path.suffix == ".py" and not _GENERATED.search(name):
            yield from lengths(name, text)
        if path.name not in _LOCKS:
            yield from words(name, text)


def main(arguments: list[str]) -> int:
    root = Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve()
    found = list(offences(root))
    for line in found:
        print(line, file=sys.stderr)
    print(f"house: {len(found)} offences in {len(files(root))} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
