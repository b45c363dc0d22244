"""Operations and what failed in them: the port OperationStore on the tables."""

import hashlib
import json
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import ItemFailure, Operation, OperationFault, OperationState, Phase
from catalog.domain.ports import NewImport
from catalog.domain.reasons import Reason
from catalog.storage.records import failure_of, fault_text, operation_of
from catalog.storage.tables import operation_failures, operation_keys, operations

_KEYS_IN_A_ROW = 500  # of at most 1,024 bytes each, six of them per byte at worst in JSON
_RUNNING = operations.c.state == OperationState.RUNNING
_CANCELLED = OperationFault(
    Reason.OPERATION_CANCELLED, "The operation was cancelled. What it had done by then stays."
)
_UNMOUNTED = OperationFault(
    Reason.BUCKET_DELETED, "The bucket was unmounted while the operation ran."
)


def named(project: str, operation_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(operations.c.project == project, operations.c.operation_id == operation_id)


async def next_unfinished(
    conn: AsyncConnection, project: str, bucket_uid: str, but: str
) -> str | None:
    """The bucket's unfinished operation that was asked for first, ``but`` that one."""
    statement = (
        sa.select(operations.c.operation_id)
        .where(operations.c.project == project, operations.c.bucket_uid == bucket_uid, _RUNNING)
        .where(operations.c.operation_id != but)
        .order_by(operations.c.create_time, operations.c.operation_id)
        .limit(1)
    )
    return (await conn.execute(statement)).scalar_one_or_none()


class OperationTable:
    """See :class:`catalog.domain.stores.OperationStore`."""

    async def insert(self, tx: AsyncConnection, new: NewImport) -> None:
        operation = new.operation
        await tx.execute(
            sa.insert(operations).values(
                project=operation.project,
                operation_id=operation.operation_id,
                bucket_uid=operation.bucket_uid,
                bucket_name=operation.bucket_name,
                state=operation.state,
                phase=operation.phase,
                source=new.source,
                prefix=new.prefix,
                on_behalf_of=new.on_behalf_of,
                create_time=operation.create_time,
                update_time=operation.update_time,
            )
        )
        rows = [
            {
                "project": operation.project,
                "operation_id": operation.operation_id,
                "last_key": chunk[-1],
                "keys": json.dumps(chunk),
            }
            for at in range(0, len(new.keys), _KEYS_IN_A_ROW)
            if (chunk := new.keys[at : at + _KEYS_IN_A_ROW])
        ]
        if rows:
            await tx.execute(sa.insert(operation_keys), rows)

    async def get(self, tx: AsyncConnection, project: str, operation_id: str) -> Operation | None:
        statement = sa.select(operations).where(named(project, operation_id))
        row = (await tx.execute(statement)).one_or_none()
        return None if row is None else operation_of(row)

    async def page(
        self, tx: AsyncConnection, project: str, before: str, done: bool | None, limit: int
    ) -> list[Operation]:
        statement = sa.select(operations).where(operations.c.project == project)
        if before:
            statement = statement.where(operations.c.operation_id < before)
        if done is not None:
            statement = statement.where(~_RUNNING if done else _RUNNING)
        statement = statement.order_by(operations.c.operation_id.desc()).limit(limit)
        return [operation_of(row) for row in await tx.execute(statement)]

    async def count_unfinished(self, tx: AsyncConnection, project: str) -> int:
        if tx.dialect.name == "postgresql":
            # On SQLite a writing transaction is alone as it is.
            number = hashlib.sha256(b"catalog.operations\0" + project.encode()).digest()[:8]
            key = int.from_bytes(number, "big", signed=True)
            await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        statement = sa.select(sa.func.count()).where(operations.c.project == project, _RUNNING)
        return int((await tx.execute(statement)).scalar_one())

    async def request_cancel(
        self, tx: AsyncConnection, project: str, operation_id: str, now: datetime
    ) -> None:
        asked = await tx.execute(
            sa.update(operations)
            .where(named(project, operation_id), _RUNNING)
            .values(cancel_requested=True, update_time=now)
        )
        if asked.rowcount:
            queued = operations.c.phase == Phase.QUEUED
            await end(
                tx,
                sa.and_(named(project, operation_id), queued),
                OperationState.CANCELLED,
                _CANCELLED,
                now,
            )

    async def end_for_bucket(self, tx: AsyncConnection, bucket_uid: str, now: datetime) -> None:
        await end(tx, operations.c.bucket_uid == bucket_uid, OperationState.FAILED, _UNMOUNTED, now)

    async def delete(self, tx: AsyncConnection, project: str, operation_id: str) -> None:
        await tx.execute(sa.delete(operations).where(named(project, operation_id)))

    async def delete_failures(
        self, tx: AsyncConnection, project: str, operation_id: str, limit: int
    ) -> int:
        table = operation_failures.c
        some = (
            sa.select(table.no)
            .where(table.project == project, table.operation_id == operation_id)
            .limit(limit)
        )
        result = await tx.execute(sa.delete(operation_failures).where(table.no.in_(some)))
        return result.rowcount

    async def failures(
        self, tx: AsyncConnection, project: str, operation_id: str, after: int, limit: int
    ) -> list[tuple[int, ItemFailure]]:
        table = operation_failures.c
        statement = (
            sa.select(operation_failures)
            .where(table.project == project, table.operation_id == operation_id, table.no > after)
            .order_by(table.no)
            .limit(limit)
        )
        return [(row.no, failure_of(row)) for row in await tx.execute(statement)]


async def end(
    conn: AsyncConnection,
    which: sa.ColumnElement[bool],
    state: OperationState,
    fault: OperationFault | None,
    now: datetime,
) -> bool:
    """Ends those of ``which`` that run; False when none does. Their named keys go, too."""
    statement = (
        sa.update(operations)
        .where(which, _RUNNING)
        .values(
            state=state,
            phase=Phase.DONE,
            fault=fault_text(fault),
            update_time=now,
            end_time=now,
        )
        .returning(operations.c.project, operations.c.operation_id)
    )
    ended = (await conn.execute(statement)).all()
    for project, operation_id in ended:
        await conn.execute(
            sa.delete(operation_keys).where(
                operation_keys.c.project == project,
                operation_keys.c.operation_id == operation_id,
            )
        )
    return bool(ended)
