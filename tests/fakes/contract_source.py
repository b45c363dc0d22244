"""The contract's comments, read from the ``.proto`` files: descriptors don't carry them.

rpcs()["RotateBinding"].who      # frozenset({"binding.operator"})
reasons()["BINDING_HELD"].keys   # frozenset({"holders", "count"})
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

_PROTOS = Path(__file__).resolve().parents[2] / "protos" / "sealmount"
_COMMENT = r"((?:^[ ]*//.*\n)+)[ ]*"
_RPC = re.compile(_COMMENT + r"rpc (\w+)\(", re.MULTILINE)
_VALUE = re.compile(_COMMENT + r"ERROR_REASON_(\w+) = (\d+);", re.MULTILINE)
_ROLE = re.compile(r"credential\.writer|binding\.operator|url\.signer|\bcatalog\b|\bviewer\b")
_LIKE = re.compile(r"like (\w+)")
_CAPITALS = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b")


@dataclass(frozen=True)
class RpcComment:
    """``who`` are the roles after "Who:", ``fails`` the reasons after "Fails"."""

    who: frozenset[str]
    fails: frozenset[str]
    says_who: bool


@dataclass(frozen=True)
class ReasonComment:
    """The worked example below "Example:"."""

    reason: str
    keys: frozenset[str]


def _text(comment: str) -> str:
    return " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())


def rpcs(service: str = "signer") -> dict[str, RpcComment]:
    source = (_PROTOS / service / "v1" / "service.proto").read_text()
    found: dict[str, RpcComment] = {}
    for comment, name in _RPC.findall(source):
        _, mark, behind = _text(comment).partition("Who")
        who, _, fails = behind.partition("ail")
        roles = frozenset(_ROLE.findall(who))
        reasons = frozenset(_CAPITALS.findall(fails))
        like = _LIKE.search(behind)
        if like:
            roles, reasons = roles or found[like[1]].who, reasons | found[like[1]].fails
        found[name] = RpcComment(roles, reasons, bool(mark))
    return found


def reasons(service: str = "signer") -> dict[str, ReasonComment]:
    """By name, the unspecified one left out. ValueError when an example isn't JSON."""
    source = (_PROTOS / service / "v1" / "error_reasons.proto").read_text()
    found = {}
    for comment, name, number in _VALUE.findall(source):
        if number == "0":
            continue
        example = _text(comment).partition("Example:")[2].partition(";")[0]
        parsed = json.loads(example)
        found[name] = ReasonComment(parsed["reason"], frozenset(parsed["metadata"]))
    return found
