"""Child processes: watched while they live, ended by their pids, never left behind."""

import os
import signal
import time
from pathlib import Path

import pytest
from sealmount.commands.processes import Child, ChildDied, Group, python, run, within

SLEEPER = "print('ready', flush=True); import time; time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


def child(folder: Path, code: str) -> Child:
    return Child("it", python("-c", code), dict(os.environ), folder / "logs" / "it.log")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def await_ready(process: Child) -> None:
    for _ in within(10, "ready"):
        if process.tail() == ["ready"]:
            break


def test_a_group_ends_its_children(tmp_path: Path) -> None:
    with Group() as group:
        started = group.start(child(tmp_path, SLEEPER))
        await_ready(started)
        group.check()
        pid = started.pid
    assert gone(pid)
    assert started.exit_code == -signal.SIGTERM


def test_a_group_ends_its_children_on_failure(tmp_path: Path) -> None:
    started = child(tmp_path, SLEEPER)

    def fail() -> None:
        with Group() as group:
            group.start(started)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gone(started.pid)


def test_one_that_ends_by_itself_is_missed_with_its_last_lines(tmp_path: Path) -> None:
    with Group() as group:
        started = group.start(child(tmp_path, "print('first'); exit('no port')"))
        started.wait()
        with pytest.raises(ChildDied, match=r"(?s)exit code 1.*first.*no port"):
            group.check()


def test_one_that_was_stopped_is_not_missed(tmp_path: Path) -> None:
    with Group() as group:
        group.stop(group.start(child(tmp_path, SLEEPER)))
        group.check()
        killed = group.start(child(tmp_path, SLEEPER))
        group.kill(killed)
        group.check()
    assert killed.exit_code == -signal.SIGKILL


def test_one_that_will_not_end_is_killed(tmp_path: Path) -> None:
    stubborn = child(tmp_path, STUBBORN)
    stubborn.start()
    await_ready(stubborn)
    assert stubborn.stop(0.2) == -signal.SIGKILL
    assert gone(stubborn.pid)


def test_the_terminal_signals_us_alone(tmp_path: Path) -> None:
    with Group() as group:
        started = group.start(child(tmp_path, SLEEPER))
        assert os.getpgid(started.pid) == started.pid != os.getpgid(0)


@pytest.mark.parametrize(("code", "fails"), [("print('fine')", False), ("exit(3)", True)])
def test_a_command_that_fails_says_so(tmp_path: Path, code: str, fails: bool) -> None:
    command, log = python("-c", code), tmp_path / "x.log"
    if fails:
        with pytest.raises(ChildDied, match="exit code 3"):
            run("it", command, dict(os.environ), log)
    else:
        run("it", command, dict(os.environ), log)
        assert log.read_text() == "fine\n"


def test_waiting_has_an_end() -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"the tide: not within 0\.2 seconds"):
        for _ in within(0.2, "the tide"):
            pass
    assert time.monotonic() - begun < 5
