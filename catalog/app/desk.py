"""What every use case works with."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from catalog.app.refusals import not_found
from catalog.domain.model import Bucket
from catalog.domain.names import BucketRef
from catalog.domain.ports import JobQueue, ObjectChecker, Signer, Tx
from catalog.domain.stores import (
    BucketStore,
    ImageStore,
    OperationStore,
    RequestStore,
    Transactions,
)


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_hex(size: int) -> str:
    """``size`` random bytes, as hexadecimal digits."""
    return secrets.token_hex(size)


@dataclass(frozen=True, slots=True)
class Desk:
    """The ports, a clock and a source of chance; made once, by the bootstrap."""

    database: Transactions
    buckets: BucketStore
    images: ImageStore
    operations: OperationStore
    requests: RequestStore
    queue: JobQueue
    signer: Signer
    checker: ObjectChecker
    now: Callable[[], datetime] = utc_now
    random: Callable[[int], str] = random_hex

    async def bucket(self, tx: Tx, ref: BucketRef, named: str = "") -> Bucket:
        """The mounted bucket; RESOURCE_NOT_FOUND with the name that the request carried."""
        found = await self.buckets.get(tx, ref.project, ref.bucket_id)
        if found is None:
            raise not_found(named or ref.name)
        return found
