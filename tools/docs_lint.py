"""Checks what the Markdown files claim; prints one line per offence.

    python tools/docs_lint.py [ROOT]

- a link to a file leads somewhere, and so does its #heading;
- a command that stores a credential reads it from standard input (``-d @``): what stands on a
  command line is seen by every user of the machine and stays in the shell's history;
- no path of somebody's machine;
- each ``make target`` is in the Makefile;
- each `REASON_LIKE_THIS` and each `VerbNoun` that reads like an RPC is in the contract.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What may stand in backticks beside the contract's own words: codes of gRPC and its health service.
_STATUS_CODES = frozenset(
    re.findall(
        r"\w+",
        """
        INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED
        RESOURCE_EXHAUSTED FAILED_PRECONDITION OUT_OF_RANGE DATA_LOSS NOT_SERVING SERVICE_UNKNOWN
        """,
    )
)
_LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCE = re.compile(r"^ *(```+|~~~+)")
_SHOUT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_CALL = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+")
_MAKE = re.compile(r"(?:^|[;&|(])\s*(?:\$ )?make((?: (?:[a-z]+|[A-Z_]+=\S+))+)")
_MACHINE = re.compile(r"(?<![\w.:/~$}-])(?:/(?:home|Users)/\w|/(?:root|work|workspace)/)")
_INLINE_DATA = re.compile(r"""\s(?:-d|--data)(?:=|\s*)(?=['"{$])(?!['"]@)""")
_CALLS = re.compile(
    r"\b(?:grpcurl|buf\s+curl)\b.*\bStoreCredential\b|\bStoreCredential\b.*\bgrpcurl\b"
)
_SECRET_NAMED = re.compile(r"\b(?:echo|printf|grpcurl|buf)\b.*secret_?access_?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """What documents may refer to: targets of make, words of the contract, its verbs."""

    targets: frozenset[str]
    words: frozenset[str]
    verbs: frozenset[str]


def known(root: Path) -> Known:
    """Read from the Makefile, the contract and the classes of the code."""
    makefile = (root / "Makefile").read_text()
    protos = "\n".join(p.read_text() for p in sorted((root / "protos").rglob("*.proto")))
    calls = re.findall(r"\brpc (\w+)\(", protos)
    enums = re.findall(r"^\s*([A-Z][A-Z0-9_]+) = \d+", protos, re.MULTILINE)
    # A value is written with or without the prefix that its enum's name gives it.
    short = {word for enum in enums for word in _suffixes(enum)}
    classes: set[str] = set()
    for room in ("signer", "catalog", "serving", "clients/python"):
        for path in (root / room).rglob("*.py"):
            classes.update(re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE))
    named = re.findall(r"\b(?:message|enum|rpc|service) (\w+)", protos)
    return Known(
        targets=frozenset(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)),
        words=frozenset({*enums, *short, *named, *classes}) | _STATUS_CODES,
        verbs=frozenset(filter(None, (re.match("[A-Z][a-z]+", c)[0] for c in calls))),  # type: ignore[index]
    )


def _suffixes(enum: str) -> Iterator[str]:
    parts = enum.split("_")
    return ("_".join(parts[n:]) for n in range(1, len(parts)))


def commands(text: str) -> Iterator[tuple[range, str]]:
    """The commands in code blocks: their lines, and each with its continuation lines joined."""
    fenced, first, pending = "", 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and (not fenced or fence.group(1).startswith(fenced)):
            fenced, pending = ("" if fenced else fence.group(1)), ""
        elif fenced:
            first = first if pending else number
            pending += line
            if pending.endswith("\\"):
                pending = pending[:-1] + " "
            else:
                yield range(first, number + 1), pending
                pending = ""


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return kept.replace(" ", "-")


def _anchors(path: Path) -> set[str]:
    return {_slug(h) for h in re.findall(r"^#+ +(.+?) *#*$", path.read_text(), re.MULTILINE)}


def links(path: Path, root: Path, line: str) -> Iterator[str]:
    for target in _LINK.findall(line):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (root / name[1:] if name.startswith("/") else path.parent / name) if name else path
        if not place.exists():
            yield f"link to {target}: there is no such file"
        elif anchor and place.suffix == ".md" and anchor not in _anchors(place):
            yield f"link to {target}: the file has no such heading"


def names(line: str, words: Known) -> Iterator[str]:
    """Reasons, values and RPCs in backticks that the contract doesn't have."""
    for code in _CODE.findall(line):
        call = _CALL.fullmatch(code.removesuffix("()"))
        verb = re.match("[A-Z][a-z]+", code)
        shouted = _SHOUT.fullmatch(code) and not code.startswith("SEALMOUNT_")
        called = call and verb and verb[0] in words.verbs
        if (shouted or called) and code.removesuffix("()") not in words.words:
            yield f"`{code}` isn't in the contract"


def targets(line: str, words: Known) -> Iterator[str]:
    for arguments in _MAKE.findall(line):
        for argument in arguments.split():
            if "=" not in argument and argument not in words.targets:
                yield f"make {argument}: the Makefile has no such target"


def secrets(command: str) -> Iterator[str]:
    """Commands that would show a secret to everybody who lists the machine's processes."""
    inline = _CALLS.search(command) and _INLINE_DATA.search(command)
    if inline or _SECRET_NAMED.search(command):
        yield "a secret on the command line: pass it with -d @"


def lint(path: Path, root: Path, words: Known) -> Iterator[str]:
    """The offences of one file, each ``name:line: what``."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(root).as_posix()
    code: set[int] = set()
    for lines, command in commands(text):
        code.update(lines)
        for what in (*secrets(command), *targets(command, words)):
            yield f"{name}:{lines.start}: {what}"
    for number, line in enumerate(text.splitlines(), 1):
        if _MACHINE.search(line):
            yield f"{name}:{number}: a path of one machine"
        if number not in code:
            found = [*links(path, root, line), *names(line, words)]
            found += [what for span in _CODE.findall(line) for what in targets(span, words)]
            yield from (f"{name}:{number}: {what}" for what in found)


def documents(root: Path) -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [p for n in sorted(set(listed.split("\0"))) if n and (p := root / n).is_file()]


def main(arguments: list[str]) -> int:
    root = Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve()
    words = known(root)
    read = documents(root)
    found = [offence for path in read for offence in lint(path, root, words)]
    for line in found:
        print(line, file=sys.stderr)
    print(f"docs: {len(found)} offences in {len(read)} documents")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
