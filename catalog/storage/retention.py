"""Operations that ended long ago go, with what failed in them: no table grows without end.

Called through :mod:`catalog.storage.jobs`, under the same rules.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.domain.model import OperationState
from catalog.storage.operations import OperationTable, named
from catalog.storage.tables import operation_keys, operations


async def drop_ended_chunk(conn: AsyncConnection, before: datetime, limit: int) -> int:
    """Deletes up to ``limit`` rows of operations that ended before; how many. 0 when none is left.

    An operation's own row goes last, so that it is found again as long as there is more of it.
    """
    oldest = (
        sa.select(operations.c.project, operations.c.operation_id)
        .where(operations.c.end_time < before, operations.c.state != OperationState.RUNNING)
        .order_by(operations.c.end_time)
        .limit(limit)
    )
    done = 0
    table = OperationTable()
    for project, operation_id in (await conn.execute(oldest)).all():
        if done >= limit:
            break
        left = limit - done
        failures = await table.delete_failures(conn, project, operation_id, left)
        done += failures
        if failures < left:
            keys = operation_keys.c
            await conn.execute(
                sa.delete(operation_keys).where(
                    keys.project == project, keys.operation_id == operation_id
                )
            )
            gone = await conn.execute(sa.delete(operations).where(named(project, operation_id)))
            done += gone.rowcount
    return done
