"""Real processes: two stores that verify signatures, a Signer, a Catalog and its worker.

Started by the very code that `make demo` runs, with mutual TLS and SQLite beneath.
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from rich.console import Console
from sealmount.demo import mounting
from sealmount.demo.desk import Desk
from sealmount.demo.evidence import Evidence
from sealmount.demo.stage import Stage, set_up

_PROJECTS = count(1)


def silent() -> Evidence:
    return Evidence(Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything runs, and nothing is mounted. Shared: starting six processes takes a while."""
    folder: Path = tmp_path_factory.mktemp("house")
    with ExitStack() as stack:
        yield set_up(silent(), folder, None, stack)


@pytest.fixture
def mounted(house: Stage) -> Iterator[Stage]:
    """24 images of the first store are mounted with its first key, in a project of their own.

    Whatever the test before did to the processes is put right first.
    """
    for name in ("signer", "catalog", "worker"):
        house.pair.revive(name)
    house.first.restart([house.old, house.new])
    house.second.restart([house.other])
    with Desk(house.pair.deployment, f"project-{next(_PROJECTS)}") as desk:
        stage = replace(house, evidence=silent(), desk=desk, digests={}, pictures={})
        mounting.play(stage)
        assert stage.evidence.holds, stage.evidence.rows
        yield stage
