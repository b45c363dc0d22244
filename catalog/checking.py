"""The port ObjectChecker on the guarded client: is the object there, and may it be read?

It stands beside the bootstrap because it joins two rooms that don't know each other: the client's
errors, and what the jobs say that each of them means.
"""

from collections.abc import Mapping

from catalog.domain.ports import CheckOutcome
from catalog.jobs.faults import MEANINGS
from catalog.remote.errors import StoreError
from catalog.remote.guarded import StoreHttp

_RANGE_NOT_SATISFIABLE = 416
_MAX_BYTES = 65_536


class StoreChecker:
    """Asks for the first byte and reads none: the status tells. ``seconds`` bounds each look."""

    def __init__(self, http: StoreHttp, seconds: float = 8.0) -> None:
        self._http = http
        self._seconds = seconds

    async def check(self, url: str, headers: Mapping[str, str]) -> CheckOutcome:
        try:
            async with self._http.stream(
                "GET", url, headers, max_bytes=_MAX_BYTES, seconds=self._seconds, byte_range=(0, 0)
            ) as answer:
                return CheckOutcome(None, answer.status)
        except StoreError as error:
            status, code = error.status or 0, error.provider_code or ""
            if status == _RANGE_NOT_SATISFIABLE:  # an empty object is there, too
                return CheckOutcome(None, status)
            return CheckOutcome(MEANINGS[error.kind].reason, status, code)
