"""The Catalog's use cases stand on a real SQLite file here: it is quick, and it tells the truth."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalog.storage.schema import migrate
from serving.database import Database, create_engine
from tests.fakes.catalog_fakes import Stage, storage_unavailable


@pytest.fixture(scope="session")
def catalog_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog-unit") / "template.db"
    asyncio.run(migrate(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
async def stage(catalog_template: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    path = tmp_path / "catalog.db"
    shutil.copy(catalog_template, path)
    database = Database(create_engine(f"sqlite+aiosqlite:///{path}"), storage_unavailable)
    yield Stage(database)
    await database.close()
