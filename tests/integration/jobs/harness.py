"""What the tests of jobs share: a migrated database, imports asked for, workers to be killed."""

import asyncio
import contextlib
import json
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from catalog.domain.model import (
    Bucket,
    ImportCounts,
    Mode,
    Operation,
    OperationState,
    Phase,
    ProbePolicy,
)
from catalog.domain.ports import NewImport, SourceKind
from catalog.jobs.engine import migrate as migrate_jobs
from catalog.jobs.queue import DbosJobQueue
from catalog.jobs.retry import RetryPolicy
from catalog.jobs.tools import JobSettings
from catalog.jobs.worker import READY, WorkerConfig, run_worker
from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy
from catalog.storage import schema
from catalog.storage.buckets import BucketTable
from catalog.storage.operations import OperationTable
from catalog.storage.tables import buckets, images
from serving.database import create_engine, read_tx, write_tx
from tests.integration.jobs.fake_signer import FileSigner
from tests.integration.jobs.store import SyntheticStore

ROOT = Path(__file__).resolve().parents[3]
PROJECT = "acme"
QUICK: dict[str, Any] = {"first_wait": 0.02, "longest_wait": 0.1, "signer_seconds": 2.0}


@dataclass
class House:
    """A Catalog without a server: its database, its queue, and a Signer in a file."""

    folder: Path
    database_url: str
    queue: DbosJobQueue
    signer: FileSigner
    origins: list[str] = field(default_factory=list)
    project: str = PROJECT
    bucket: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.engine = create_engine(self.database_url)

    async def close(self) -> None:
        await self.queue.close()
        await self.engine.dispose()

    async def mount(self, probe: ProbePolicy = ProbePolicy.NONE) -> Bucket:
        now = datetime.now(UTC)
        uid = uuid.uuid4().hex
        self.bucket = Bucket(
            self.project,
            f"b{uid[:8]}",
            uid,
            f"projects/{self.project}/bindings/x",
            Mode.LINK,
            probe,
            "",
            "e",
            now,
            now,
        )
        async with write_tx(self.engine) as tx:
            assert await BucketTable().insert(tx, self.bucket)
        return self.bucket

    async def serve(
        self, store: SyntheticStore, probe: ProbePolicy = ProbePolicy.NONE, prefix: str = ""
    ) -> None:
        """Mount a bucket whose binding points to this store."""
        self.signer.set_state(origin=store.origin, prefix=prefix)
        self.origins.append(store.origin)
        await self.mount(probe)

    async def unmount(self) -> None:
        """As DeleteBucket does."""
        now = datetime.now(UTC)
        async with write_tx(self.engine) as tx:
            await BucketTable().tombstone(tx, self.bucket, now)
            await OperationTable().end_for_bucket(tx, self.bucket.uid, now)
            await self.queue.enqueue_purge(tx, self.bucket.uid)

    async def ask(self, prefix: str = "", keys: Sequence[str] = ()) -> str:
        """Ask for an import, as the server does; the operation's id."""
        new = self.new_import(prefix, keys)
        operation = new.operation
        async with write_tx(self.engine) as tx:
            await OperationTable().insert(tx, new)
            await self.queue.enqueue_import(
                tx, self.project, operation.operation_id, self.bucket.uid
            )
        return operation.operation_id

    def new_import(self, prefix: str = "", keys: Sequence[str] = ()) -> NewImport:
        now = datetime.now(UTC)
        operation = Operation(
            self.project,
            uuid.uuid4().hex,
            self.bucket.uid,
            self.bucket.name,
            OperationState.RUNNING,
            Phase.QUEUED,
            ImportCounts(),
            0,
            False,
            now,
            now,
        )
        kind = SourceKind.KEYS if keys else SourceKind.LISTING
        return NewImport(operation, kind, prefix, "", tuple(sorted(set(keys))))

    async def operation(self, operation_id: str) -> Operation:
        async with read_tx(self.engine) as tx:
            found = await OperationTable().get(tx, self.project, operation_id)
        assert found is not None
        return found

    async def ended(self, operation_id: str, seconds: float = 60.0) -> Operation:
        return await self.progressed(operation_id, sys.maxsize, seconds)

    async def progressed(self, operation_id: str, listed: int, seconds: float = 60.0) -> Operation:
        async with asyncio.timeout(seconds):
            while True:
                operation = await self.operation(operation_id)
                if operation.done or operation.progress.listed >= listed:
                    return operation
                await asyncio.sleep(0.01)

    async def cancel(self, operation_id: str) -> None:
        async with write_tx(self.engine) as tx:
            await OperationTable().request_cancel(tx, self.project, operation_id, datetime.now(UTC))

    async def rows(self) -> list[Any]:
        number = sa.select(buckets.c.no).where(buckets.c.uid == self.bucket.uid)
        wanted = sa.select(images).where(images.c.bucket_no == number.scalar_subquery())
        async with read_tx(self.engine) as tx:
            return list(await tx.execute(wanted.order_by(images.c.key)))

    async def scalar(self, statement: str) -> Any:
        async with read_tx(self.engine) as tx:
            return (await tx.execute(sa.text(statement))).scalar()

    async def until(self, statement: str, value: Any, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while await self.scalar(statement) != value:  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.05)

    def sweep(self, *forbidden: str) -> None:
        """No file of the databases and no log may hold these."""
        files = [path for path in self.folder.iterdir() if path.name != "signer.json"]
        assert (
            any(path.name.endswith("-wal") for path in files) or "sqlite" not in self.database_url
        )
        for path in files:
            content = path.read_bytes()
            for text in forbidden:
                assert text.encode() not in content, f"{text} is in {path.name}"

    @contextlib.asynccontextmanager
    async def working(
        self,
        beat_seconds: float = 5.0,
        imports: int = 16,
        retry: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> AsyncIterator[None]:
        """A worker within this process: quicker to begin, and not to be killed."""
        stop, ready = asyncio.Event(), asyncio.Event()
        jobs = JobSettings(retry=RetryPolicy(**{**QUICK, **(retry or {})}), **settings)
        config = WorkerConfig(
            self.database_url,
            imports=imports,
            poll_seconds=0.05,
            beat_seconds=beat_seconds,
            settings=jobs,
        )
        async with StoreHttp(StorePolicy(frozenset(self.origins))) as http:
            running = run_worker(config, self.signer, http, ready=ready.set, stop=stop)
            task = asyncio.create_task(running)
            try:
                await asyncio.wait(
                    [task, asyncio.create_task(ready.wait())], return_when="FIRST_COMPLETED"
                )
                yield
            finally:
                stop.set()
                await task

    @contextlib.asynccontextmanager
    async def worker(self, name: str = "", **settings: Any) -> AsyncIterator["Worker"]:
        worker = await self.start_worker(name, **settings)
        try:
            yield worker
        finally:
            await worker.stop()

    async def start_worker(
        self, name: str = "", dead_after: float = 60.0, beat: float = 5.0, **settings: Any
    ) -> "Worker":
        told = {
            "database_url": self.database_url,
            "signer": str(self.folder / "signer.json"),
            "origins": self.origins,
            "retry": {**QUICK, **settings.pop("retry", {})},
            "settings": settings,
            "worker": {
                "worker_id": name,
                "poll_seconds": 0.05,
                "dead_after": dead_after,
                "beat_seconds": beat,
            },
        }
        log = (self.folder / "worker.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.jobs.worker_process",
            json.dumps(told),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        log.close()
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line.decode().strip() == READY, (self.folder / "worker.log").read_text()
        return Worker(process)


@dataclass
class Worker:
    process: asyncio.subprocess.Process

    async def stop(self) -> int:
        """Ask it to go, and wait until it has."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(40):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            raise

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


async def build(folder: Path, database_url: str) -> House:
    """A migrated database and everything around it."""
    await schema.migrate(database_url)
    await migrate_jobs(database_url)
    signer = FileSigner(folder / "signer.json")
    return House(folder, database_url, DbosJobQueue.open(database_url), signer)
