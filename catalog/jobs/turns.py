"""Whose turn it is: one import of a bucket at a time, the others in the order of their asking.

DBOS limits how many workflows of one key run, and that key is the project, so that no project
takes all slots. The bucket's order is kept here: only the import whose turn it is has a workflow;
the others are rows of ``operations`` and take up no place in any queue. The one that ends passes
the turn on, in the transaction that ends it.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.jobs.tables import turns
from catalog.storage.operations import next_unfinished


async def take_turn(
    conn: AsyncConnection, project: str, operation_id: str, bucket_uid: str
) -> bool:
    """Whether it is this import's turn at once; if not, it gets it when those before it end."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    mine = insert(turns).values(bucket_uid=bucket_uid, project=project, operation_id=operation_id)
    # An update of nothing, for the row's lock: whoever ends now either sees this operation, or is
    # through before it looks.
    locked = mine.on_conflict_do_update(
        index_elements=["bucket_uid"], set_={"bucket_uid": bucket_uid}
    )
    holder = (await conn.execute(locked.returning(turns.c.operation_id))).scalar_one()
    return bool(holder == operation_id)


async def pass_turn(
    conn: AsyncConnection, project: str, operation_id: str
) -> tuple[str, str] | None:
    """This import has ended: operation and bucket whose turn it is now; None without one."""
    mine = sa.and_(turns.c.project == project, turns.c.operation_id == operation_id)
    held = sa.select(turns.c.bucket_uid).where(mine).with_for_update()
    bucket_uid = (await conn.execute(held)).scalar_one_or_none()
    if bucket_uid is None:
        return None
    following = await next_unfinished(conn, project, bucket_uid, operation_id)
    if following is None:
        await conn.execute(sa.delete(turns).where(mine))
        return None
    await conn.execute(sa.update(turns).where(mine).values(operation_id=following))
    return following, bucket_uid
