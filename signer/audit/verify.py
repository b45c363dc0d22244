"""Reads an audit log back: is it whole, in order and unedited, and what did it last see?

    report = verify(path, mac, anchors)
    report.problems == []

Finds an edited record, one that was taken out, put in or moved, a chain without its beginning, and
a chain that begins where the database knows of none. A cut at the very end of the newest chain
can't be told from a process that was killed, and is reported as an open end, not as a problem.
"""

import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signer.audit.record import GENESIS, START, STOP, canonical

Mac = Callable[[bytes, bytes], bytes]
# Longer than any record can be: a thousand keys of a kilobyte, each byte escaped.
_TAIL = 16 * 1024 * 1024


@dataclass(slots=True)
class Report:
    """``problems`` name lines, counted from 1. ``generation`` is the highest on record."""

    records: int = 0
    chains: int = 0
    generation: int = 0
    open_ends: int = 0
    problems: list[str] = field(default_factory=list)
    last: dict[str, Any] | None = None


def read(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Line numbers and records; None for a line that isn't one."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield number, _parse(line)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        canonical(record)  # what a hostile line may hold and no code can be computed over
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def last_record(path: Path) -> tuple[dict[str, Any] | None, int]:
    """Where the file ends, for the next chain to name, and the generation that it saw last.

    Reads the end of the file alone: generations only grow, and every record carries one.
    """
    last, generation = None, 0
    if path.is_file():
        with path.open("rb") as lines:
            lines.seek(max(0, path.stat().st_size - _TAIL))
            for line in lines:
                record = _parse(line)
                if record is not None:
                    last = {name: record.get(name) for name in ("writer", "seq", "mac")}
                    generation = max(generation, _number(record.get("gen")))
    return last, generation


def verify(
    path: Path | Sequence[Path], mac: Mac, anchors: Mapping[str, bytes], generation: int = 0
) -> Report:
    """Goes through the files once, oldest first, in constant memory but for one entry per chain.

    ``anchors`` are all chains that the database knows, each of which must be there, and
    ``generation`` is the database's, which the log must have reached.
    """
    report = Report()
    ends: dict[str, dict[str, Any]] = {}
    paths = [path] if isinstance(path, Path) else path
    numbered = ((number, record) for one in paths for number, record in read(one))
    for number, record in numbered:
        report.records += 1
        problem = "isn't a record" if record is None else _check(record, mac, anchors, ends, report)
        if problem:
            report.problems.append(f"line {number}: {problem}")
        if record is not None:
            ends[str(record.get("writer"))] = record
            report.last = record
            report.generation = max(report.generation, _number(record.get("gen")))
    report.chains = len(ends)
    report.open_ends = sum(1 for record in ends.values() if record.get("step") != STOP)
    for writer in sorted(anchors.keys() - ends.keys()):
        report.problems.append(f"the chain of writer {writer} is missing")
    if report.generation < generation:
        report.problems.append(
            f"the log ends at generation {report.generation}, the database is at {generation}"
        )
    return report


def _check(
    record: dict[str, Any],
    mac: Mac,
    anchors: Mapping[str, bytes],
    ends: dict[str, dict[str, Any]],
    report: Report,
) -> str:
    body = {name: value for name, value in record.items() if name != "mac"}
    try:
        previous = bytes.fromhex(str(record["prev"]))
        code = bytes.fromhex(str(record["mac"]))
    except (KeyError, ValueError):
        return "has no code"
    if not hmac.compare_digest(mac(previous, canonical(body)), code):
        return "was edited"
    before = ends.get(str(record["writer"]))
    if before is not None:
        return "" if _follows(record, before) else "doesn't follow the record before it"
    if record.get("step") != START or record.get("seq") != 0 or previous != GENESIS:
        return "isn't the beginning of its chain"
    if anchors.get(str(record["writer"])) != code:
        return "begins a chain that the database doesn't know"
    after = report.last and {name: report.last.get(name) for name in ("writer", "seq", "mac")}
    return "" if record.get("after") == after else "doesn't name the end of the chain before it"


def _follows(record: dict[str, Any], before: dict[str, Any]) -> bool:
    following = _number(before.get("seq")) + 1
    return record.get("prev") == before.get("mac") and record.get("seq") == following
