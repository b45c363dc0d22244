"""A bucket's counts, kept by adding up what each written row takes away and brings."""

from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import InfoState, SourceState
from catalog.storage.tables import buckets

_READ = frozenset({InfoState.PROBED, InfoState.NOT_AN_IMAGE})


class Tally:
    """What a transaction changed in one bucket's :class:`~catalog.domain.model.Counts`."""

    def __init__(self) -> None:
        self._sums: Counter[str] = Counter()

    def add(self, excluded: bool, source: str, info: str, times: int = 1) -> None:
        """``times`` rows in this state came, or went when it is negative."""
        sums = self._sums
        if excluded:
            sums["excluded"] += times
            return
        sums["images"] += times
        if source == SourceState.UNSIGNABLE:
            sums["unsignable"] += times
        elif source == SourceState.AVAILABLE:
            sums["available"] += times
        else:
            sums["unavailable"] += times
        if info in _READ:
            sums["probed"] += times

    async def write(self, conn: AsyncConnection, bucket_no: int) -> None:
        values: dict[str, Any] = {
            name: buckets.c[name] + times for name, times in self._sums.items() if times
        }
        if values:
            await conn.execute(sa.update(buckets).where(buckets.c.no == bucket_no).values(values))
