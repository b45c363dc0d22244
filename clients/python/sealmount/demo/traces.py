"""Looks for secrets where none may be: in databases, logs, the audit log, whatever a folder holds.

Each secret is looked for as it is, in base64 (at each of the three alignments), in hexadecimal and
percent-encoded.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus


@dataclass(frozen=True, slots=True)
class Search:
    """``hits`` are ``(file, form)``; ``bytes`` is how much was read."""

    hits: tuple[tuple[Path, str], ...]
    files: int
    bytes: int
    forms: int


def forms(secret: str) -> dict[str, bytes]:
    """The spellings of a secret, by name."""
    raw = secret.encode()
    spelled = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent-encoded": quote(secret, safe="").encode(),
        "form-encoded": quote_plus(secret).encode(),
    }
    for shift in range(3):
        # The first and last letters also depend on what stands beside the secret.
        encoded = base64.b64encode(b"\0" * shift + raw)
        core = encoded.rstrip(b"=")[4 if shift else 0 : -2]
        spelled[f"base64+{shift}"] = core
        spelled[f"base64url+{shift}"] = core.translate(bytes.maketrans(b"+/", b"-_"))
    return spelled


def search(folder: Path, secrets: Iterable[str], without: Iterable[Path] = ()) -> Search:
    """Reads every file below ``folder`` except those in ``without``."""
    wanted = [(name, form) for secret in secrets for name, form in forms(secret).items()]
    left_out = set(without)
    hits: list[tuple[Path, str]] = []
    files = read = 0
    for path in _files(folder):
        if path in left_out:
            continue
        content = path.read_bytes()
        files, read = files + 1, read + len(content)
        hits += [(path, name) for name, form in wanted if form in content]
    return Search(tuple(hits), files, read, len(wanted))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
