"""A row of the figures: what was measured, ours beside a peer's, and the goal for the ratio."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """``ours`` and ``peer`` are rates, in ``unit``; the higher the better."""

    what: str
    unit: str
    ours: float
    peer_name: str
    peer: float
    goal: float
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": round(self.ratio, 3), "met": self.met}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that can't be measured here, and why."""

    what: str
    why: str

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "skipped": self.why}


def side_by_side(
    ours: Callable[[], float], peer: Callable[[], float], rounds: int = ROUNDS
) -> tuple[float, float]:
    """The medians of rates measured in turns, so that a busy moment of the machine hits both."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return statistics.median(o for o, _ in pairs), statistics.median(p for _, p in pairs)


def rate(work: Callable[[], int]) -> float:
    """How much of it is done in a second; ``work`` says how much it did."""
    begun = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - begun)
