"""Starting imports: the operation's row and its place in the queue are one transaction."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from catalog.app.desk import Desk
from catalog.app.refusals import not_found
from catalog.domain.model import Bucket, ImportCounts, Operation, OperationState, Phase
from catalog.domain.names import BucketRef, OperationRef
from catalog.domain.ports import NewImport, SourceKind, Tx
from catalog.domain.reasons import Reason
from serving.faults import Fault

MAX_UNFINISHED = 100
_METHOD = "sealmount.catalog.v1.CatalogService/ImportImages"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """``keys`` in the order asked for; ``request_id`` a lower-case UUID, or "" for none."""

    bucket: BucketRef
    source: SourceKind
    prefix: str
    keys: tuple[str, ...]
    request_id: str
    on_behalf_of: str

    def digest(self) -> bytes:
        """Of all that the request asks for: the same for the same request, however it came."""
        canonical = [self.bucket.name, self.source, self.prefix, self.keys, self.on_behalf_of]
        return hashlib.sha256(json.dumps(canonical).encode()).digest()


class Imports:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def start(self, caller: str, request: ImportRequest) -> Operation:
        """RESOURCE_NOT_FOUND, REQUEST_ID_REUSED, OPERATIONS_LIMIT_REACHED."""
        desk, ref = self._desk, request.bucket
        async with desk.database.write() as tx:
            # Locked, so that unmounting it either sees the new operation or comes first.
            bucket = await desk.buckets.lock(tx, ref.project, ref.bucket_id)
            if bucket is None:
                raise not_found(ref.name)
            operation = self._new(bucket)
            if request.request_id:
                earlier = await self._claim(tx, caller, bucket, request, operation)
                if earlier is not None:
                    return earlier
            await self._check_limit(tx, ref.project)
            keys = tuple(sorted(set(request.keys), key=str.encode))
            new = NewImport(operation, request.source, request.prefix, request.on_behalf_of, keys)
            await desk.operations.insert(tx, new)
            await desk.queue.enqueue_import(tx, ref.project, operation.operation_id, bucket.uid)
        return operation

    def _new(self, bucket: Bucket) -> Operation:
        now = self._desk.now()
        return Operation(
            project=bucket.project,
            operation_id=_operation_id(now, self._desk.random(8)),
            bucket_uid=bucket.uid,
            bucket_name=bucket.name,
            state=OperationState.RUNNING,
            phase=Phase.QUEUED,
            progress=ImportCounts(),
            probe_total=0,
            cancel_requested=False,
            create_time=now,
            update_time=now,
        )

    async def _claim(
        self, tx: Tx, caller: str, bucket: Bucket, request: ImportRequest, operation: Operation
    ) -> Operation | None:
        """The operation that the same request made earlier; None when there is none."""
        # The bucket by its uid: one that is mounted again under the name is another bucket.
        scope = [caller, _METHOD, bucket.uid, request.request_id]
        digest, digest_id = request.digest(), operation.operation_id
        found, found_id = await self._desk.requests.claim(
            tx,
            hashlib.sha256(json.dumps(scope).encode()).digest(),
            digest,
            digest_id,
            operation.create_time,
        )
        if found != digest:
            raise Fault(
                Reason.REQUEST_ID_REUSED,
                "The request id was used for another request within the last 24 hours.",
            )
        if found_id == digest_id:
            return None
        earlier = await self._desk.operations.get(tx, bucket.project, found_id)
        if earlier is None:
            raise not_found(OperationRef(bucket.project, found_id).name)
        return earlier

    async def _check_limit(self, tx: Tx, project: str) -> None:
        if await self._desk.operations.count_unfinished(tx, project) >= MAX_UNFINISHED:
            raise Fault(
                Reason.OPERATIONS_LIMIT_REACHED,
                "The project has as many unfinished operations as it may have. Wait for one.",
                {"limit": str(MAX_UNFINISHED)},
            )


def _operation_id(now: datetime, random: str) -> str:
    """Sorts by time: milliseconds since 1970 in hexadecimal, then chance."""
    return f"op-{int(now.timestamp() * 1000):012x}-{random}"
