"""Keeps unit and contract tests off the network.

A Python audit hook sees every connection, name look-up and listening socket that goes through
Python's own sockets, in any thread. Once added a hook can't be taken out, so it asks a variable.
Connections of the C libraries (gRPC's, libpq's) don't pass here.
"""

import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any


class Reach(IntEnum):
    """How far a test may speak."""

    NOWHERE = 0  # sockets of the file system only
    LOOPBACK = 1
    ANYWHERE = 2


class NetworkUsed(AssertionError):
    """The test went further than it may."""


_WATCHED = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"})
_reach = Reach.ANYWHERE


@contextmanager
def limited_to(reach: Reach) -> Iterator[None]:
    """Within the block, going further than ``reach`` raises NetworkUsed."""
    global _reach
    before, _reach = _reach, reach
    try:
        yield
    finally:
        _reach = before


def _reach_of(host: Any) -> Reach:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name in ("", "localhost"):
        return Reach.LOOPBACK
    try:
        # The zone of a scoped address says nothing about how far it reaches.
        loopback = ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return Reach.ANYWHERE
    return Reach.LOOPBACK if loopback else Reach.ANYWHERE


def _wanted(event: str, args: tuple[Any, ...]) -> Reach:
    if event == "socket.getaddrinfo":
        return _reach_of(args[0])
    connection, address = args[0], args[1]
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return Reach.NOWHERE
    return _reach_of(address[0])


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _reach is not Reach.ANYWHERE and event in _WATCHED and _wanted(event, args) > _reach:
        raise NetworkUsed(f"this test may reach {_reach.name}, and asked for {event} {args[-1]!r}")


sys.addaudithook(_audit)
