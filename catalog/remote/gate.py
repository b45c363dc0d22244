"""The gate before every connection: name resolution and the address check.

aiohttp asks the resolver for a host name and opens the socket through the factory; for an IP
literal it asks no resolver at all. So the factory judges once more what it is told to connect to.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from catalog.remote.addresses import Reach, reach
from catalog.remote.errors import AddressRefusedError
from catalog.remote.targets import Target


class Resolver(Protocol):
    """Turns a host name into addresses."""

    async def addresses(self, host: str) -> list[str]:
        """All addresses of ``host``, as text, best first; raises OSError when there is none."""
        ...


class SystemResolver:
    """The machine's own resolver.

    It has threads of its own: names come from customers, and one whose server never answers must
    not hold up what else the process does in threads.
    """

    def __init__(self, threads: int = 16) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="store-names")

    async def addresses(self, host: str) -> list[str]:
        """All addresses of ``host`` that this machine has a protocol for."""
        answers = await asyncio.get_running_loop().run_in_executor(self._executor, _look_up, host)
        return list(dict.fromkeys(answers))

    def close(self) -> None:
        """Take no more names; look-ups on their way end by themselves."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Gate(AbstractResolver):
    """Resolver and socket factory of one connector.

    ``listed`` is the origin that the deployment allows, None for everybody else's. It lets private
    addresses in, at that origin's port, and nothing else.
    """

    def __init__(self, resolver: Resolver, listed: Target | None) -> None:
        self._resolver = resolver
        self._listed = listed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up once and judge every answer: a single bad one refuses them all."""
        addresses = await self._resolver.addresses(host)
        for address in addresses:
            self._admit(address, port)
        if not addresses:
            raise OSError("The name has no address.")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    def open_socket(self, info: AddrInfoType) -> socket.socket:
        """The socket to connect with, if its destination may be connected to."""
        family, kind, protocol, _, destination = info
        self._admit(str(destination[0]), int(destination[1]))
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing to close: the resolver belongs to whoever made it."""

    def _admit(self, address: str, port: int) -> None:
        judged = reach(address)
        if self._listed is None:
            admitted = judged is Reach.PUBLIC
        else:
            admitted = judged is not Reach.FORBIDDEN and port == self._listed.port
        if not admitted:
            raise AddressRefusedError
