"""The marker that skips tests by name, and the guard that keeps unit tests off the network."""

import socket
import threading
from pathlib import Path

import pytest

from tests import needs
from tests.sockets import NetworkUsed, Reach, limited_to

pytest_plugins = ["pytester"]
CONFTEST = Path(needs.__file__).with_name("conftest.py").read_text()


@pytest.fixture
def house(pytester: pytest.Pytester) -> pytest.Pytester:
    """A test folder of its own with the real conftest in it."""
    pytester.makeconftest(CONFTEST)
    pytester.makeini(
        "[pytest]\nmarkers = needs(*tools): x\naddopts = -p no:cacheprovider -p no:asyncio"
    )
    return pytester


def _lose(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(needs.TOOLS, name, needs.Tool(lambda: None, "look in the shed"))


def _needing(house: pytest.Pytester, tool: str) -> pytest.RunResult:
    house.makepyfile(f"import pytest\n@pytest.mark.needs('{tool}')\ndef test_it(): pass\n")
    return house.runpytest_inprocess()


def test_a_missing_program_skips_by_name(
    house: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(needs.REQUIRE, raising=False)
    _lose(monkeypatch, "grpcurl")
    result = _needing(house, "grpcurl")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*left out*", "*1 skipped: needs grpcurl: look in the shed"])


def test_a_required_program_fails(house: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(needs.REQUIRE, "curl, grpcurl")
    _lose(monkeypatch, "grpcurl")
    result = _needing(house, "grpcurl")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs grpcurl: look in the shed (SEALMOUNT_REQUIRE lists it)"])


def test_a_program_that_is_there_runs(
    house: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(needs.REQUIRE, "rclone")
    _needing(house, "rclone").assert_outcomes(passed=1)


def test_an_unknown_program_is_an_error(house: pytest.Pytester) -> None:
    result = _needing(house, "hammer")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown tool 'hammer'*"])


def test_an_unknown_requirement_is_an_error(
    house: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(needs.REQUIRE, "grpcurl,hammer")
    result = _needing(house, "grpcurl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_rclone_wheel_is_there() -> None:
    assert needs.run("rclone", "version").stdout.startswith("rclone v")


def test_unit_tests_open_no_connection() -> None:
    with socket.socket() as connection, pytest.raises(NetworkUsed):
        connection.connect(("127.0.0.1", 9))


@pytest.mark.parametrize("host", ["example.com", b"example.com", "192.0.2.1", "2001:db8::1"])
def test_loopback_is_no_further_than_that(host: str | bytes) -> None:
    with limited_to(Reach.LOOPBACK), pytest.raises(NetworkUsed):
        socket.getaddrinfo(host, 443)


def test_threads_are_watched_too() -> None:
    caught: list[BaseException] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo("example.com", 443)
        except NetworkUsed as error:
            caught.append(error)

    thread = threading.Thread(target=look_up)
    thread.start()
    thread.join(5)
    assert len(caught) == 1


@pytest.mark.parametrize("reach", [Reach.LOOPBACK, Reach.ANYWHERE])
def test_loopback_can_be_allowed(reach: Reach) -> None:
    with limited_to(reach), socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        assert client.getpeername() == server.getsockname()


def test_sockets_of_the_file_system_are_free(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        assert client.getpeername() == str(tmp_path / "s")
