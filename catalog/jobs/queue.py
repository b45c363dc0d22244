"""The port ``JobQueue``: an operation's row and its place in the queue are one transaction.

    queue = DbosJobQueue.open(database_url)
    async with database.write() as tx:
        await operations.insert(tx, new)
        await queue.enqueue_import(tx, project, operation_id, bucket_uid)

The server process asks for jobs with this and never launches DBOS itself. Cancelling needs no
queue: the operation's row says so, and a job looks at it.
"""

from typing import Any, Self

from dbos import EnqueueOptions
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.jobs.engine import VERSION, Client

IMPORTS = "imports"
PURGES = "purges"
# The rest of a job that has begun goes before jobs of the same bucket that haven't.
_WAITING = 10
_BEGUN = 1


class DbosJobQueue:
    """Enqueues on the caller's own connection. Errors of the database pass through."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def open(cls, database_url: str) -> Self:
        """Opens no connection yet."""
        return cls(Client(database_url))

    async def close(self) -> None:
        await self._client.close()

    async def enqueue_import(
        self, tx: AsyncConnection, project: str, operation_id: str, bucket_uid: str
    ) -> None:
        """One import of a bucket runs at a time, the others in the order they were asked for."""
        first = {"phase": "BEGIN", "segment": 1}
        workflow_id = import_workflow_id(project, operation_id, 1)
        await self._enqueue(
            tx, IMPORTS, workflow_id, bucket_uid, _WAITING, project, operation_id, bucket_uid, first
        )

    async def enqueue_purge(self, tx: AsyncConnection, bucket_uid: str, after: float = 0.0) -> None:
        first, workflow_id = {"segment": 1}, f"purge/{bucket_uid}/1"
        await self._enqueue(
            tx, PURGES, workflow_id, bucket_uid, _WAITING, bucket_uid, first, rest=after
        )

    async def continue_import(
        self,
        tx: AsyncConnection,
        project: str,
        operation_id: str,
        bucket_uid: str,
        state: dict[str, Any],
    ) -> None:
        """The rest of an import as a workflow of its own, beginning at ``state``."""
        workflow_id = import_workflow_id(project, operation_id, state["segment"])
        await self._enqueue(
            tx, IMPORTS, workflow_id, bucket_uid, _BEGUN, project, operation_id, bucket_uid, state
        )

    async def continue_purge(
        self, tx: AsyncConnection, bucket_uid: str, state: dict[str, Any]
    ) -> None:
        workflow_id = f"purge/{bucket_uid}/{state['segment']}"
        await self._enqueue(tx, PURGES, workflow_id, bucket_uid, _BEGUN, bucket_uid, state)

    async def _enqueue(
        self,
        tx: AsyncConnection,
        queue: str,
        workflow_id: str,
        partition: str,
        priority: int,
        *arguments: Any,
        rest: float = 0.0,
    ) -> None:
        options: EnqueueOptions = {
            "workflow_name": queue,
            "queue_name": queue,
            "workflow_id": workflow_id,
            "queue_partition_key": partition,
            "priority": priority,
            "app_version": VERSION,
        }
        if rest:
            options["delay_seconds"] = rest
        await tx.run_sync(
            lambda conn: self._client.dbos.enqueue_in_transaction(conn, options, *arguments)
        )


def import_workflow_id(project: str, operation_id: str, segment: int) -> str:
    """A workflow's id: the operation's, and which part of a long job it is."""
    return f"{project}/{operation_id}/{segment}"
