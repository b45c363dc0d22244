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
from catalog.jobs.turns import pass_turn, take_turn

IMPORTS = "imports"
PURGES = "purges"


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
        if await take_turn(tx, project, operation_id, bucket_uid):
            await self._begin(tx, project, operation_id, bucket_uid)

    async def import_ended(self, tx: AsyncConnection, project: str, operation_id: str) -> None:
        """Let the next import of its bucket begin, in the transaction that ends this one."""
        following = await pass_turn(tx, project, operation_id)
        if following is not None:
            await self._begin(tx, project, *following)

    async def _begin(
        self, tx: AsyncConnection, project: str, operation_id: str, bucket_uid: str
    ) -> None:
        first = {"phase": "BEGIN", "segment": 1}
        workflow_id = import_workflow_id(project, operation_id, 1)
        await self._enqueue(
            tx, IMPORTS, workflow_id, project, 0.0, project, operation_id, bucket_uid, first
        )

    async def enqueue_purge(self, tx: AsyncConnection, bucket_uid: str, after: float = 0.0) -> None:
        await self._enqueue(
            tx, PURGES, f"purge/{bucket_uid}/1", bucket_uid, after, bucket_uid, {"segment": 1}
        )

    async def continue_import(
        self,
        tx: AsyncConnection,
        project: str,
        operation_id: str,
        bucket_uid: str,
        state: dict[str, Any],
        rest: float = 0.0,
    ) -> None:
        """What is left of an import as a workflow of its own, beginning at ``state``.

        It waits for ``rest`` seconds, then its turn among the project's jobs.
        """
        workflow_id = import_workflow_id(project, operation_id, state["segment"])
        await self._enqueue(
            tx, IMPORTS, workflow_id, project, rest, project, operation_id, bucket_uid, state
        )

    async def continue_purge(
        self, tx: AsyncConnection, bucket_uid: str, state: dict[str, Any]
    ) -> None:
        workflow_id = f"purge/{bucket_uid}/{state['segment']}"
        await self._enqueue(tx, PURGES, workflow_id, bucket_uid, 0.0, bucket_uid, state)

    async def _enqueue(
        self,
        tx: AsyncConnection,
        queue: str,
        workflow_id: str,
        partition: str,
        rest: float,
        *arguments: Any,
    ) -> None:
        options: EnqueueOptions = {
            "workflow_name": queue,
            "queue_name": queue,
            "workflow_id": workflow_id,
            "queue_partition_key": partition,
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
