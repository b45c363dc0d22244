"""The real clock behind ``signer.domain.ports.Clock``."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time in UTC; monotonic seconds."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
