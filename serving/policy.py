"""The policy file: which identity holds which roles in which projects.

    [[grant]]
    identity = "spiffe://example.org/catalog"
    roles = ["catalog"]
    projects = ["*"]           # every project, also those to come

    [[grant]]
    identity = "spiffe://example.org/annotation"
    roles = ["operator", "viewer"]
    projects = ["acme", "beta"]

Grants add up. What no grant says isn't allowed. A file with anything unexpected in it (a role that
the service doesn't know, a misspelt key, a malformed identity) is refused as a whole, with the
number and line of the grant, since half a policy is worse than none.
"""

import asyncio
import logging
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from serving.identity import parse_spiffe_id
from serving.names import PROJECT_ID

_LOGGER = logging.getLogger("serving.policy")
ANY_PROJECT = "*"
_KEYS = frozenset({"identity", "roles", "projects"})
_HEADER = re.compile(r"\s*\[\[\s*grant\s*\]\]")
_NONE: frozenset[str] = frozenset()


class PolicyError(ValueError):
    """The policy can't be used; the message says where and why, and is safe to print."""


@dataclass(frozen=True, slots=True)
class Grant:
    identity: str
    roles: frozenset[str]
    projects: frozenset[str]


class Policy:
    """Immutable answers, laid out for lookup: two dictionary reads per call."""

    __slots__ = ("_anywhere", "_by_project", "_everywhere")

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        by_project: dict[tuple[str, str], frozenset[str]] = {}
        anywhere: dict[str, frozenset[str]] = {}
        everywhere: dict[str, frozenset[str]] = {}
        for grant in grants:
            who = grant.identity
            anywhere[who] = anywhere.get(who, _NONE) | grant.roles
            for project in grant.projects:
                if project == ANY_PROJECT:
                    everywhere[who] = everywhere.get(who, _NONE) | grant.roles
                else:
                    key = who, project
                    by_project[key] = by_project.get(key, _NONE) | grant.roles
        # An identity with both kinds of grant holds their sum: added here, once, not per call.
        for key, roles in by_project.items():
            by_project[key] = roles | everywhere.get(key[0], _NONE)
        self._by_project: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(by_project)
        self._everywhere: Mapping[str, frozenset[str]] = MappingProxyType(everywhere)
        self._anywhere: Mapping[str, frozenset[str]] = MappingProxyType(anywhere)

    def roles(self, identity: str, project: str) -> frozenset[str]:
        """The roles held in ``project``; empty when there are none."""
        found = self._by_project.get((identity, project))
        return found if found is not None else self._everywhere.get(identity, _NONE)

    def roles_anywhere(self, identity: str) -> frozenset[str]:
        """The roles held in one project or another, for RPCs that concern no project."""
        return self._anywhere.get(identity, _NONE)

    def knows(self, identity: str) -> bool:
        return identity in self._anywhere


class LivePolicy:
    """A policy that can be exchanged while calls run: each call sees the old or the new one."""

    __slots__ = ("_current",)

    def __init__(self, policy: Policy) -> None:
        self._current = policy

    def swap(self, policy: Policy) -> None:
        self._current = policy

    def roles(self, identity: str, project: str) -> frozenset[str]:
        return self._current.roles(identity, project)

    def roles_anywhere(self, identity: str) -> frozenset[str]:
        return self._current.roles_anywhere(identity)

    def knows(self, identity: str) -> bool:
        return self._current.knows(identity)


class FollowedPolicy(LivePolicy):
    """The policy of a file, read anew when the file changes: who is taken out of it is out within
    seconds. A file that can't be used keeps the policy that was read last, and says so in the log.
    """

    __slots__ = ("_known_roles", "_path", "_stamp")

    def __init__(self, path: Path, known_roles: Collection[str]) -> None:
        super().__init__(load(path, known_roles))
        self._path = path
        self._known_roles = known_roles
        self._stamp = self._now()

    async def follow(self, seconds: float = 2.0) -> None:
        """Looks every so often, until it is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            self.look()

    def look(self) -> None:
        """Reads the file if it is another one than was read last."""
        stamp = self._now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.swap(load(self._path, self._known_roles))
        except (PolicyError, OSError) as error:
            _LOGGER.warning("policy kept", extra={"fields": {"why": type(error).__name__}})
        else:
            _LOGGER.info("policy read", extra={"fields": {"path": self._path.name}})

    def _now(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ino, found.st_size


def load(path: Path, known_roles: Collection[str]) -> Policy:
    """The policy in the file. PolicyError when it is refused, OSError when it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PolicyError("the policy is not UTF-8 text") from None
    return parse(text, known_roles)


def parse(text: str, known_roles: Collection[str]) -> Policy:
    """As :func:`load`, from text. A policy without a grant is valid: it allows nothing."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"the policy is no valid TOML: {error}") from None
    stray = sorted(document.keys() - {"grant"})
    if stray:
        raise PolicyError(f"unknown key {stray[0]!r}: a policy consists of [[grant]] tables")
    tables = document.get("grant", [])
    if not isinstance(tables, list):
        raise PolicyError("write [[grant]], with two brackets: there may be many")
    places = _places(text, len(tables))
    return Policy(
        _grant(table, place, known_roles) for table, place in zip(tables, places, strict=True)
    )


def _places(text: str, count: int) -> list[str]:
    """Names for the grants in messages; with line numbers where the headers can be counted."""
    lines = [at for at, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    if len(lines) != count:
        return [f"grant {n}" for n in range(1, count + 1)]
    return [f"grant {n} (line {line})" for n, line in enumerate(lines, 1)]


def _grant(table: Any, place: str, known_roles: Collection[str]) -> Grant:
    if not isinstance(table, dict):
        raise PolicyError(f"{place}: must be a table")
    stray = sorted(table.keys() - _KEYS)
    if stray:
        raise PolicyError(f"{place}: unknown key {stray[0]!r}; the keys are {_listed(_KEYS)}")
    missing = sorted(_KEYS - table.keys())
    if missing:
        raise PolicyError(f"{place}: {missing[0]!r} is missing")
    identity = table["identity"]
    if not isinstance(identity, str) or parse_spiffe_id(identity) is None:
        raise PolicyError(f"{place}: identity {identity!r} is no spiffe://trust-domain/path")
    roles = _strings(table["roles"], f"{place}: roles")
    for role in roles:
        if role not in known_roles:
            raise PolicyError(f"{place}: unknown role {role!r}; known are {_listed(known_roles)}")
    projects = _strings(table["projects"], f"{place}: projects")
    for project in projects:
        if project != ANY_PROJECT and not re.fullmatch(PROJECT_ID, project):
            raise PolicyError(f"{place}: {project!r} is no project id")
    return Grant(identity, frozenset(map(str, roles)), frozenset(projects))


def _strings(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise PolicyError(f"{what} must be a list of one or more strings")
    if len(set(value)) != len(value):
        raise PolicyError(f"{what} holds the same entry twice")
    return value


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
