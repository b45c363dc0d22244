"""What every test stands on: the marker ``needs``, no network for unit tests, Hypothesis."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import needs
from tests.sockets import Reach, limited_to

TESTS = Path(__file__).resolve().parent
# The first folder that a test lies in decides. These test what speaks HTTP or gRPC by itself.
REACHES = {
    TESTS / "unit" / "remote": Reach.LOOPBACK,
    TESTS / "unit" / "serving": Reach.LOOPBACK,
    TESTS / "unit": Reach.NOWHERE,
    TESTS / "contract": Reach.NOWHERE,
}

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "local"))


def pytest_configure(config: pytest.Config) -> None:
    try:
        needs.required(os.environ)
    except needs.UnknownTool as error:
        raise pytest.UsageError(f"{needs.REQUIRE}: {error}") from None


def _tools(item: pytest.Item) -> list[str]:
    return [name for marker in item.iter_markers("needs") for name in marker.args]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in _tools(item):
            if name not in needs.TOOLS:
                raise pytest.UsageError(f"{item.nodeid}: {needs.UnknownTool(name)}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = needs.required(os.environ)
    lacking = [(name, why) for name in _tools(item) if (why := needs.lack(name))]
    for name, why in lacking:
        if name in required:
            pytest.fail(f"{why} ({needs.REQUIRE} lists it)", pytrace=False)
    if lacking:
        pytest.skip("; ".join(why for _, why in lacking))


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    lies_in = request.path.parents
    reach = next((r for folder, r in REACHES.items() if folder in lies_in), Reach.ANYWHERE)
    with limited_to(reach):
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("left out")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count:4} skipped: {reason}")
