"""A look at an object: each error of the client is one of the reasons; none carries the URL."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from catalog.app.urls import _MEANINGS
from catalog.checking import StoreChecker
from catalog.domain.ports import CheckOutcome
from catalog.domain.reasons import Reason
from catalog.remote.errors import StoreError, StoreErrorKind
from catalog.remote.guarded import StoreHttp, StoreResponse

URL = "https://store.test/a?X-Amz-Signature=feed"


class Http:
    """Gives one answer to ``stream``, and remembers what it was asked."""

    def __init__(self, answer: StoreResponse | StoreError) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    @contextlib.asynccontextmanager
    async def stream(self, *request: Any, **options: Any) -> AsyncIterator[StoreResponse]:
        self.asked.append((*request, options["byte_range"]))
        if isinstance(self.answer, StoreError):
            raise self.answer
        yield self.answer


async def look(answer: StoreResponse | StoreError) -> CheckOutcome:
    http = Http(answer)
    outcome = await StoreChecker(cast("StoreHttp", http)).check(URL, {"a": "b"})
    assert http.asked == [("GET", URL, {"a": "b"}, (0, 0))]
    assert "store.test" not in repr(outcome)
    return outcome


async def test_there() -> None:
    assert await look(StoreResponse(206, {}, b"x")) == CheckOutcome(None, 206)


async def test_an_empty_object_is_there_too() -> None:
    assert await look(StoreError(StoreErrorKind.OTHER, 416, "InvalidRange")) == CheckOutcome(
        None, 416
    )


@pytest.mark.parametrize("kind", StoreErrorKind)
async def test_every_error_has_a_reason_and_a_meaning(kind: StoreErrorKind) -> None:
    outcome = await look(StoreError(kind))
    assert outcome.reason in _MEANINGS
    assert (outcome.status, outcome.provider_code) == (0, "")


async def test_missing() -> None:
    outcome = await look(StoreError(StoreErrorKind.NOT_FOUND, 404, "NoSuchKey"))
    assert outcome == CheckOutcome(Reason.OBJECT_MISSING, 404, "NoSuchKey")
