"""The worker process: takes jobs from the queues and runs them, until it is told to go.

    await run_worker(WorkerConfig(database_url), signer, http)

It listens on nothing. SIGTERM and SIGINT end it in good order: no more jobs are taken, those that
run stop where they are and go back into their queues. After kill -9 the worker that is started
again under the same name goes on at once; any other one after ``dead_after`` seconds.
"""

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from dbos import DBOS

from catalog.domain.ports import Signer
from catalog.jobs.engine import Client, configuration, harden
from catalog.jobs.housekeeping import Housekeeping
from catalog.jobs.queue import IMPORTS, PURGES, DbosJobQueue
from catalog.jobs.runner import Runner
from catalog.jobs.steps import Steps
from catalog.jobs.sweeping import Sweeper
from catalog.jobs.tools import JobSettings, Tools
from catalog.jobs.workers import OnlyOne, Roster
from catalog.remote.guarded import StoreHttp
from serving.database import create_engine

_logger = logging.getLogger("sealmount.jobs")
_THREADS = 4
READY = "sealmount catalog worker ready"


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """``worker_id`` must be one live process's alone: on SQLite one name will do, so that a worker
    that is started again goes on with its own jobs; else each process gets one of its own.

    ``dead_after`` (seconds) should be a minute at least on SQLite, where a busy disk can hold a
    heartbeat up. ``imports`` and ``purges`` are jobs at a time in this process,
    ``imports_per_project`` in all workers together: fewer, so that one project's stores, which may
    be slow on purpose, never take every place.
    """

    database_url: str
    worker_id: str = ""
    imports: int = 16
    imports_per_project: int = 4
    purges: int = 1
    poll_seconds: float = 0.25
    beat_seconds: float = 5.0
    dead_after: float = 60.0
    settings: JobSettings = field(default_factory=JobSettings)

    def name(self) -> str:
        if self.worker_id:
            return self.worker_id
        if self.database_url.startswith("sqlite"):
            return "worker"
        return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def say_ready() -> None:
    """One line on stdout, for whoever started the process."""
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


async def run_worker(
    config: WorkerConfig,
    signer: Signer,
    http: StoreHttp,
    *,
    ready: Callable[[], None] = say_ready,
    stop: asyncio.Event | None = None,
) -> None:
    """Work until SIGTERM, SIGINT or ``stop``. The database must be migrated.

    Raises WorkerRunning when another process of this name works on the same SQLite file.
    """
    harden()
    name = config.name()
    stopping = stop or asyncio.Event()
    only_one = OnlyOne(config.database_url, name)
    only_one.take()
    engine = create_engine(config.database_url)
    client = Client(config.database_url)
    try:
        steps = await Steps.create(config.database_url, engine)
        tools = Tools(engine, steps, DbosJobQueue(client), signer, http, config.settings)
        runner = Runner(tools)
        runner.register()
        keeping = await _housekeeping(config, name, tools, client, runner)
        with _signals(stopping):
            async with _launched(config, name, runner), _running(keeping):
                gc.collect()
                gc.freeze()
                _logger.info("worker ready", extra={"fields": {"worker": name}})
                ready()
                await stopping.wait()
        # Only now does nobody in this process take jobs any more.
        await keeping.close(name)
    finally:
        await client.close()
        await engine.dispose()
        only_one.release()


async def _housekeeping(
    config: WorkerConfig, name: str, tools: Tools, client: Client, runner: Runner
) -> Housekeeping:
    """With this worker's first heartbeat given, before it takes its first job."""
    roster = Roster(tools.engine, name, config.dead_after)
    sweeper = Sweeper(tools.engine, client.dbos, tools.queue, config.settings.operation_retention)
    await roster.beat()
    return Housekeeping(client.dbos, roster, runner, sweeper, config.beat_seconds)


@contextlib.asynccontextmanager
async def _launched(config: WorkerConfig, name: str, runner: Runner) -> AsyncIterator[None]:
    DBOS(config=configuration(config.database_url, name))
    try:
        DBOS.launch()
        for queue, at_a_time, per_key in (
            (IMPORTS, config.imports, config.imports_per_project),
            (PURGES, config.purges, 1),
        ):
            await DBOS.register_queue_async(
                queue,
                partition_concurrency=per_key,
                worker_concurrency=at_a_time,
                polling_interval_sec=config.poll_seconds,
                on_conflict="always_update",
            )
        yield
    finally:
        await runner.drain()
        # DBOS made its own executor this loop's default, and takes it along when it goes.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
        await asyncio.to_thread(DBOS.destroy, destroy_registry=True)


@contextlib.asynccontextmanager
async def _running(keeping: Housekeeping) -> AsyncIterator[None]:
    task = asyncio.create_task(keeping.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
