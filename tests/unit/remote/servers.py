"""Little servers on loopback that answer byte for byte as told, and a resolver that is told."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Self

import pytest

from catalog.remote.guarded import StoreHttp

CANARY = "c4n4ryc4n4ryc4n4ry"
PUBLIC_ADDRESS = "93.184.216.34"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came: ``line`` is its first line, ``head`` everything before the body."""

    head: bytes
    body: bytes

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode()

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


ClientFor = Callable[["RawServer"], StoreHttp]
Answer = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """``async with RawServer(answer) as server``: calls ``answer`` for each request."""

    def __init__(self, answer: Answer, tls: SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self.seen: list[Seen] = []
        self.connections = 0
        self.port = 0

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, family=socket.AF_INET, ssl=self._tls, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
                length = int(Seen(head, b"").headers.get("content-length", "0"))
                seen = Seen(head, await reader.readexactly(length))
                self.seen.append(seen)
                await self._answer(seen, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(
    status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), *, length: bool = True
) -> bytes:
    """A whole answer as bytes."""
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {value}" for name, value in headers)]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def always(answer: bytes) -> Answer:
    """Gives the same answer to everything."""

    async def give(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return give


@dataclass
class TableResolver:
    """Answers from a table: each look-up of a name takes its next set, the last one for ever."""

    table: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def addresses(self, host: str) -> list[str]:
        answers = self.table.get(host)
        if answers is None:
            raise OSError("no such name")
        turn = self.asked.count(host)
        self.asked.append(host)
        return answers[min(turn, len(answers) - 1)]


class Wires:
    """Leads every connection of the running loop to one local port and notes where it was bound.

    So a test can let the client connect to a public address without leaving the machine.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
        self.addresses: list[str] = []
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def lead(sock: socket.socket, address: Any) -> None:
            self.addresses.append(address[0])
            await connect(sock, ("127.0.0.1", port))

        monkeypatch.setattr(loop, "sock_connect", lead)
