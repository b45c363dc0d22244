"""Databases for the storage contract: the same tests on SQLite and PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from signer.storage.guard import Guard
from tests.fakes.signer_databases import Databases, Store, founded


@pytest.fixture(scope="session")
def signer_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    found = Databases(tmp_path_factory.mktemp("signer"))
    yield found
    found.close()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
)
def signer_url(
    request: pytest.FixtureRequest, signer_databases: Databases, tmp_path: Path
) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    with signer_databases.of(request.param, tmp_path) as url:
        yield url


@pytest.fixture
async def store(signer_url: str) -> AsyncIterator[Store]:
    """A founded database with the ledger on it."""
    database, guard = await founded(signer_url)
    yield Store(signer_url, database, guard)
    await database.close()


@pytest.fixture
def guard(store: Store) -> Guard:
    return store.guard
