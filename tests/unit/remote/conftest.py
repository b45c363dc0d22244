"""Clients for the tests of the guarded client."""

from collections.abc import AsyncIterator

import pytest

from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy
from tests.unit.remote.servers import ClientFor, RawServer


@pytest.fixture
async def client_for() -> AsyncIterator[ClientFor]:
    """Makes clients that are allowed one local server's origin, and closes them in the end."""
    clients: list[StoreHttp] = []

    def make(server: RawServer) -> StoreHttp:
        clients.append(StoreHttp(StorePolicy(frozenset({server.origin}))))
        return clients[-1]

    yield make
    for http in clients:
        await http.close()
