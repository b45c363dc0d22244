"""Transactional steps: what a step writes and its checkpoint commit together, or not at all.

    result = await steps.run("listing", write, prepare)

``prepare`` talks to stores and the Signer, outside the transaction and only if the step has no
checkpoint yet; ``write`` gets what it brought and writes it. DBOS keeps what ``write`` returns, so
that must be plain JSON, and names only: never a signed URL.

DBOS opens a session for a step after it has looked for a checkpoint and before it begins the
transaction: that is where ``prepare`` runs, by way of the session's own ``__aenter__``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from dbos import AsyncSQLAlchemyDatasource
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker

from catalog.jobs.engine import datasource
from serving.scrub import describe

_logger = logging.getLogger("sealmount.jobs")

# A paused process can keep its locks until idle_in_transaction_session_timeout ends its session.
_LOCK_NOT_AVAILABLE = "55P03"
_TRANSACTIONS = 4

Json = dict[str, Any]
Brought = TypeVar("Brought")
Result = TypeVar("Result")
_prepare: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("prepare", default=None)


class StepBroken(Exception):
    """A bug within a step. DBOS stores an exception's text, so this one has none to give away."""

    def __init__(self) -> None:
        super().__init__("the step failed; the log says where")


class StepPostponed(asyncio.CancelledError):
    """Somebody holds a lock for too long: the step is done again later, by whoever is free.

    A cancellation, since that is what leaves a workflow as it is.
    """


class _PreparingSession(AsyncSession):
    """One of at most ``places`` transactions at a time.

    More would wait for a connection of the engine's pool, in no order and not for ever; and to DBOS
    a pool's timeout is a step that failed for good.
    """

    places: asyncio.Semaphore

    async def __aenter__(self) -> Self:
        prepare = _prepare.get()
        if prepare is not None:
            await prepare()
        await self.places.acquire()
        return await super().__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await super().__aexit__(*error)
        finally:
            self.places.release()


def _sessions() -> type[_PreparingSession]:
    class Sessions(_PreparingSession):
        places = asyncio.Semaphore(_TRANSACTIONS)

    return Sessions


async def no_preparation() -> None:
    """For steps that only write."""


class Steps:
    """Runs steps on the Catalog's engine. Make it with :meth:`create`, before DBOS is launched."""

    def __init__(self, source: AsyncSQLAlchemyDatasource, sqlite: bool) -> None:
        self._source = source
        # SQLite knows no other level; on PostgreSQL SERIALIZABLE would run bodies several times.
        self._isolation: Any = "SERIALIZABLE" if sqlite else "READ COMMITTED"

    @classmethod
    async def create(cls, database_url: str, engine: AsyncEngine) -> Self:
        sessions = async_sessionmaker(class_=_sessions(), expire_on_commit=False)
        source = await datasource(database_url, engine, sessions)
        return cls(source, engine.dialect.name == "sqlite")

    async def run(
        self,
        name: str,
        write: Callable[[AsyncConnection, Brought], Awaitable[Json]],
        prepare: Callable[[], Awaitable[Brought]],
    ) -> Json:
        """One step. Raises StepBroken for a bug, and what the database driver raises."""
        brought: list[Brought] = []

        async def bring() -> None:
            # A transaction that has to be repeated asks for a session again, not for the store.
            if not brought:
                brought.append(await _scrubbed(name, prepare()))

        async def body() -> Json:
            connection = await self._source.sql_session().connection()
            return await _scrubbed(name, write(connection, brought[0]))

        token = _prepare.set(bring)
        try:
            return await self._source.run_tx_step_async(
                {"name": name, "isolation_level": self._isolation}, body
            )
        finally:
            _prepare.reset(token)


async def _scrubbed(name: str, work: Awaitable[Result]) -> Result:
    try:
        return await work
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
            raise  # DBOS repeats a transaction that lost a race; parameters are hidden
        postponed = True
    except Exception as error:  # noqa: BLE001 - DBOS would store its text
        # Not with exc_info: whatever formats the record might print the text.
        _logger.error("a step failed", extra={"fields": {"step": name, **describe(error)}})  # noqa: TRY400
        postponed = False
    raise StepPostponed if postponed else StepBroken
