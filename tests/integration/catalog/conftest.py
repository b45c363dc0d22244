"""Fixtures for the Catalog's storage: the same tests on both databases."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from catalog.domain.model import Bucket, Counts, InfoState, SourceState
from catalog.storage.buckets import BucketTable
from catalog.storage.images import ImageTable
from catalog.storage.schema import migrate
from serving.database import Database, create_engine
from tests.fakes.catalog_fakes import Stage, bucket, storage_unavailable
from tests.fakes.catalog_service import Service, serving
from tests.fakes.postgres import Postgres, running

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """A migrated database to copy; nobody is connected to it."""
    asyncio.run(migrate(postgres.create("template_catalog")))
    return "template_catalog"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "template.db"
    asyncio.run(migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    if request.param == "sqlite":
        path = tmp_path / "catalog.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"catalog_{next(_numbers)}"
    yield server.create(name, request.getfixturevalue("postgres_template"))
    server.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database(create_engine(database_url), storage_unavailable)
    yield found
    await found.close()


@pytest.fixture
async def mounted(database: Database) -> AsyncIterator[Bucket]:
    """A bucket whose counts are checked against its rows when the test is over."""
    made = bucket()
    async with database.write() as tx:
        await BucketTable().insert(tx, made)
    yield made
    async with database.read() as tx:
        found = await BucketTable().get(tx, made.project, made.bucket_id)
        every = await ImageTable().page(tx, made.uid, "", "", True, 100_000)
    kept = [image for image in every if not image.excluded]
    states = [image.source.state for image in kept]
    assert found is not None
    assert found.counts == Counts(
        images=len(kept),
        excluded=len(every) - len(kept),
        available=states.count(SourceState.AVAILABLE),
        unavailable=len(kept)
        - states.count(SourceState.AVAILABLE)
        - states.count(SourceState.UNSIGNABLE),
        unsignable=states.count(SourceState.UNSIGNABLE),
        probed=sum(i.info.state in (InfoState.PROBED, InfoState.NOT_AN_IMAGE) for i in kept),
    )


@pytest.fixture
async def service(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Service]:
    """The Catalog's servicers behind the gate, on SQLite, with everything outside faked."""
    path = tmp_path / "service.db"
    shutil.copy(sqlite_template, path)
    found = Database(create_engine(f"sqlite+aiosqlite:///{path}"), storage_unavailable)
    async with serving(Stage(found)) as running_service:
        yield running_service
    await found.close()
