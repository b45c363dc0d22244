"""Fixtures for the search: a Signer whose every word is kept."""

import io
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from serving import telemetry
from tests.fakes.signer_databases import Databases
from tests.fakes.signer_rig import Certificates, Rig
from tests.integration.canary.watched import Watched


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    found = Databases(tmp_path_factory.mktemp("databases"))
    yield found
    found.close()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that the process would write to stderr as a log, at DEBUG."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    telemetry.configure("signer", "DEBUG", stream)
    yield stream
    root.handlers[:], root.level, logging.raiseExceptions = before
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)


@pytest.fixture
def rig(tmp_path: Path, certificates: Certificates, databases: Databases) -> Rig:
    folder = tmp_path / "signer"
    folder.mkdir()
    return Rig(folder, certificates, databases.sqlite(folder))


@pytest.fixture
async def watched(
    rig: Rig, log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> AsyncIterator[Watched]:
    async with rig.running(audit_timeout=0.3) as running:
        yield Watched(rig, running, log, capfd)
