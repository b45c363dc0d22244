"""Fixtures for the servers under test."""

import pytest

from tests.integration.serving.harness import Pki


@pytest.fixture(scope="session")
def shared_pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates that no test changes."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def own_pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates that the test may replace."""
    return Pki(tmp_path_factory.mktemp("own-pki"))
