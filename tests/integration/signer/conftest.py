"""Fixtures for tests of a whole Signer."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.signer_databases import Databases
from tests.fakes.signer_rig import Certificates, Rig, Running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    found = Databases(tmp_path_factory.mktemp("databases"))
    yield found
    found.close()


@pytest.fixture
def rig(tmp_path: Path, certificates: Certificates, databases: Databases) -> Rig:
    """On SQLite, with a clock that stands still and sleeps in a hurry."""
    return Rig(tmp_path, certificates, databases.sqlite(tmp_path))


@pytest.fixture
async def signer(rig: Rig) -> AsyncIterator[Running]:
    async with rig.running() as running:
        yield running
