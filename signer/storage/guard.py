"""Codes over rows and over the whole: who changes the database without the keys is found out.

Each row carries an HMAC over its columns. The state row carries the generation, the sum of keyed
contributions of all rows, and an HMAC over the two: a row that was put back to an older, once valid
version, or taken out, no longer adds up.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from serving.faults import Fault
from signer.domain.reasons import Reason
from signer.storage.rows import Row, canonical

DIGEST_BYTES = 64
_MODULUS = 1 << (8 * DIGEST_BYTES)


class Codes(Protocol):
    """The keys, wherever they come from (signer.sealing.integrity)."""

    @property
    def key_id(self) -> str: ...

    def row_mac(self, row: bytes, /) -> bytes: ...

    def contribution(self, row_mac: bytes, /) -> int: ...


@dataclass(frozen=True, slots=True)
class StateRow:
    """The state row, verified. ``digest`` is the sum over all rows."""

    deployment: str
    generation: int
    digest: int


class Guard:
    """Seals and verifies rows with the codes of one deployment."""

    def __init__(self, codes: Codes, deployment: str) -> None:
        self._codes = codes
        self._deployment = deployment

    def seal(self, table: sa.Table, row: Row, generation: int) -> Row:
        """The row with generation, key id and code."""
        stamped = {**row, "generation": generation, "mac_key_id": self._codes.key_id}
        return {**stamped, "mac": self._mac(table.name, stamped)}

    def verify(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """STATE_TAMPERED unless the row's code is the one that was written with these columns."""
        known = row["mac_key_id"] == self._codes.key_id
        if not known or not hmac.compare_digest(self._mac(table.name, row), _code(row)):
            raise tampered()

    def contribution(self, row: Mapping[str, Any]) -> int:
        return self._codes.contribution(bytes(row["mac"]))

    def seal_state(self, generation: int, digest: int) -> Row:
        row = {
            "deployment": self._deployment,
            "generation": generation,
            "digest": (digest % _MODULUS).to_bytes(DIGEST_BYTES, "big"),
            "mac_key_id": self._codes.key_id,
        }
        return {**row, "mac": self._mac("state", {"id": 1, **row})}

    def verify_state(self, row: Mapping[str, Any] | None) -> StateRow:
        """STATE_TAMPERED for a missing, foreign or changed state row."""
        if row is None or row["deployment"] != self._deployment:
            raise tampered()
        if not hmac.compare_digest(self._mac("state", row), _code(row)):
            raise tampered()
        return StateRow(
            row["deployment"], row["generation"], int.from_bytes(bytes(row["digest"]), "big")
        )

    def _mac(self, table: str, row: Mapping[str, Any]) -> bytes:
        return self._codes.row_mac(canonical(table, row))


def _code(row: Mapping[str, Any]) -> bytes:
    """SQLite keeps whatever type somebody writes into a column."""
    code = row["mac"]
    if not isinstance(code, bytes | memoryview):
        raise tampered()
    return bytes(code)


def add(total: int, *contributions: int) -> int:
    return (total + sum(contributions)) % _MODULUS


def subtract(total: int, contribution: int) -> int:
    return (total - contribution) % _MODULUS


def tampered() -> Fault:
    return Fault(Reason.STATE_TAMPERED, "The stored state isn't what the Signer wrote.")
