"""Real processes: two stores that verify signatures, a Signer, a Catalog and its worker.

Started by the very code that `make demo` runs, with mutual TLS and SQLite beneath.
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console
from sealmount.demo import mounting
from sealmount.demo.evidence import Evidence
from sealmount.demo.stage import Stage, set_up


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Everything runs, and nothing is mounted yet."""
    with ExitStack() as stack:
        yield set_up(Evidence(Console(file=io.StringIO())), tmp_path, None, stack)


@pytest.fixture
def mounted(stage: Stage) -> Stage:
    """24 images of the first store are mounted with its first key."""
    mounting.play(stage)
    assert stage.evidence.holds, stage.evidence.rows
    return stage
