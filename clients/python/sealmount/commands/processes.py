"""Child processes with a log file each: started together, watched, and ended by their pids.

with Group() as group:
    server = group.start(Child("signer", command, environment, Path("signer.log")))
    group.check()                   # ChildDied, with its last lines, if one has ended
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

STOP_SECONDS = 20.0
_TAIL_BYTES = 64 * 1024


class ChildDied(RuntimeError):
    """A process ended that should still run. The message has the last lines of its log."""

    def __init__(self, child: "Child") -> None:
        lines = "\n".join(f"    {line}" for line in child.tail())
        super().__init__(
            f"{child.name} ended with exit code {child.exit_code}. Its last lines ({child.log}):\n"
            f"{lines or '    (none)'}"
        )


@dataclass(slots=True)
class Child:
    """One process. It is in a process group of its own, so that Ctrl-C in the terminal reaches it
    only through us, in order."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _begins: int = 0

    def start(self) -> None:
        """Appends the process's output to its log. Raises OSError when it can't be started."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._begins = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  # a list of words, never a shell
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                process_group=0,
            )

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ValueError(f"{self.name} was never started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def terminate(self) -> None:
        """Asks it to end, without waiting."""
        if self.alive and self._process is not None:
            self._process.terminate()

    def wait(self, seconds: float = STOP_SECONDS) -> int | None:
        """Waits until it has ended, at most so long; kills it then. Its exit code."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(STOP_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        self.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        """As a power cut would: no drain, no last word."""
        if self.alive and self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def said(self, line: str) -> bool:
        """Whether this process, not an earlier one with the same log, has written the line."""
        with self.log.open("rb") as log:
            log.seek(self._begins)
            return line.encode() in log.read().splitlines()

    def tail(self, count: int = 15) -> list[str]:
        """The last lines of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, 2) - _TAIL_BYTES))
                return log.read().decode(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []


class Group:
    """Processes that live and end together: the last one started is the first one stopped."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, child: Child) -> Child:
        child.start()
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raises ChildDied if one has ended that nobody stopped."""
        for child in self._children:
            if not child.alive:
                raise ChildDied(child)

    def stop(self, child: Child) -> int | None:
        """Stops one of them; from then on it isn't missed."""
        self._children.remove(child)
        return child.stop()

    def kill(self, child: Child) -> None:
        self._children.remove(child)
        child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        while self._children:
            self._children.pop().stop()


def run(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Runs a command to its end, which must come within two minutes. Raises ChildDied else."""
    child = Child(name, command, environment, log)
    child.start()
    if child.wait(120.0) != 0:
        raise ChildDied(child)


def within(seconds: float, what: str) -> Iterator[None]:
    """``for _ in within(…):`` goes round every 50 ms; TimeoutError if no ``break`` ends it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {seconds:g} seconds")


def python(*arguments: str) -> list[str]:
    """The command line of this Python."""
    return [sys.executable, *arguments]
