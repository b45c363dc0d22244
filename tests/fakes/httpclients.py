"""HTTP clients as users have them, sending a URL as it stands: aiohttp, requests, curl.

    status, body = await get_by_requests(url)

Each follows no redirect and takes no proxy from the environment. ``bucket.localhost`` is this
machine for all of them: curl knows it, aiohttp gets a resolver, requests needs
``localhost_resolved``.
"""

import asyncio
import shutil
import socket
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import pytest
import requests
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL


class LocalResolver(AbstractResolver):
    """Every name is this machine, as ``bucket.localhost`` is for curl and browsers."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)
        ]

    async def close(self) -> None:
        return None


Fetched = tuple[int, bytes]
Client = Callable[[str], Awaitable[Fetched]]


async def by_aiohttp(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    connector = aiohttp.TCPConnector(resolver=LocalResolver())
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(10)) as session,
        session.request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False
        ) as response,
    ):
        return response.status, await response.read(), response.headers


async def get_by_aiohttp(url: str) -> Fetched:
    status, body, _ = await by_aiohttp(url)
    return status, body


async def get_by_requests(url: str) -> Fetched:
    def get() -> Fetched:
        with requests.Session() as session:
            session.trust_env = False
            response = session.get(url, allow_redirects=False, timeout=10)
            return response.status_code, response.content

    return await asyncio.to_thread(get)


def _curl(*options: str) -> Client:
    async def get(url: str) -> Fetched:
        curl = shutil.which("curl")
        assert curl is not None
        command = [curl, "-q", "-sS", "--globoff", "--noproxy", "*", "-m", "10", *options]
        command += ["-w", "%{http_code}", "--", url]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode(errors="replace")
        return int(out[-3:]), out[:-3]

    return get


CLIENTS = [
    pytest.param(get_by_aiohttp, id="aiohttp"),
    pytest.param(get_by_requests, id="requests"),
    pytest.param(_curl("--path-as-is"), id="curl-as-is", marks=pytest.mark.needs("curl")),
    pytest.param(_curl(), id="curl", marks=pytest.mark.needs("curl")),
]


def localhost_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests asks the system, which needn't know ``bucket.localhost``."""
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: object, **options: object) -> object:
        known = "127.0.0.1" if str(host).endswith(".localhost") else host
        return real(known, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
