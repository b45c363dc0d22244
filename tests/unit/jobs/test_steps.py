"""What becomes of an exception within a step."""

import pytest
from sqlalchemy.exc import OperationalError

from catalog.jobs.steps import StepBroken, StepPostponed, _scrubbed


class DriverError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("a driver's words")
        self.sqlstate = sqlstate


async def failing(error: Exception) -> None:
    raise error


async def test_a_bug_becomes_an_exception_without_words() -> None:
    with pytest.raises(StepBroken) as broken:
        await _scrubbed("x", failing(ValueError("https://store/?X-Amz-Signature=5e1e57")))
    assert "Signature" not in str(broken.value)
    assert broken.value.__context__ is None


async def test_a_lock_that_is_held_too_long_postpones_the_step() -> None:
    with pytest.raises(StepPostponed):
        await _scrubbed("x", failing(OperationalError("", {}, DriverError("55P03"))))


async def test_other_errors_of_the_database_are_the_engines_to_judge() -> None:
    with pytest.raises(OperationalError):
        await _scrubbed("x", failing(OperationalError("", {}, DriverError("40P01"))))
