"""What a record of the audit log looks like, and how records are chained.

One JSON object a line, names sorted, UTF-8:

    {"caller": "spiffe://…", "gen": 17, "keys": ["a.jpg"], …, "mac": "…", "prev": "…", "seq": 42}

``mac`` is an HMAC-SHA-256 over ``prev`` and over the line without ``mac``; ``prev`` is the ``mac``
of the line before it. The first record of a chain has ``seq`` 0, step START, and its ``mac`` stands
in the database, too.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from signer.domain.ports import AuditEntry

VERSION = 1
START, STOP = "START", "STOP"
GENESIS = bytes(32)
Mac = Callable[[bytes, bytes], bytes]


def fields_of(entry: AuditEntry, time: datetime) -> dict[str, Any]:
    """The entry as plain values. Every field is always there: a schema, not a bag."""
    return {
        "step": str(entry.step),
        "time": time.isoformat(timespec="microseconds"),
        "rpc": entry.rpc,
        "caller": entry.caller,
        "on_behalf_of": entry.on_behalf_of,
        "request": entry.request_id,
        "project": entry.project,
        "resource": entry.resource,
        "gen": entry.generation,
        "revision": entry.revision,
        "credential": entry.credential,
        "method": entry.method,
        "audience": entry.audience,
        "keys": list(entry.keys),
        "versions": list(entry.versions),
        "not_after": None if entry.not_after is None else entry.not_after.isoformat(),
        "reason": entry.reason,
    }


def boundary(
    step: str, time: datetime, generation: int, previous: dict[str, Any] | None
) -> dict[str, Any]:
    """The fields of a chain's first or last record; START names the end of the chain before it."""
    return {
        "step": step,
        "time": time.isoformat(timespec="microseconds"),
        "gen": generation,
        "after": previous,
    }


def start_of(
    writer: str, mac: Mac, time: datetime, generation: int, previous: dict[str, Any] | None
) -> tuple[dict[str, Any], bytes]:
    """A chain's first record and its code, which the database is told before the file is."""
    first = boundary(START, time, generation, previous)
    chain = Chain(writer, mac)
    chain.link(first)
    return first, chain.previous


@dataclass(slots=True)
class Chain:
    """Where a chain stands. ``link`` moves it on by one record."""

    writer: str
    mac: Mac
    previous: bytes = GENESIS
    sequence: int = 0

    def link(self, fields: dict[str, Any]) -> bytes:
        """The finished line, with its line end."""
        numbered = {
            **fields,
            "v": VERSION,
            "writer": self.writer,
            "seq": self.sequence,
            "prev": self.previous.hex(),
        }
        code = self.mac(self.previous, canonical(numbered))
        self.previous, self.sequence = code, self.sequence + 1
        return canonical({**numbered, "mac": code.hex()}) + b"\n"


def canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
