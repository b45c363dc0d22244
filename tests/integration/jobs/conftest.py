"""A Catalog's database with everything that jobs need around it."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.postgres import Postgres, running
from tests.integration.jobs.harness import House, build

_numbers = itertools.count(1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """On SQLite."""
    built = await build(tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'catalog.db'}")
    yield built
    await built.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture
async def big_house(tmp_path: Path, postgres: Postgres) -> AsyncIterator[House]:
    """On PostgreSQL."""
    name = f"jobs_{next(_numbers)}"
    built = await build(tmp_path, postgres.create(name))
    yield built
    await built.close()
    postgres.drop(name)
