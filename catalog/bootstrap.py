"""Builds the Catalog, server and worker: the only module that names concrete classes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
from google.longrunning.operations_pb2_grpc import add_OperationsServicer_to_server
from sealmount.catalog.v1.service_pb2_grpc import add_CatalogServiceServicer_to_server

from catalog.app.desk import Desk
from catalog.checking import StoreChecker
from catalog.config import Config
from catalog.domain.reasons import Reason
from catalog.jobs import engine as jobs_engine
from catalog.jobs.queue import DbosJobQueue
from catalog.jobs.tools import JobSettings
from catalog.jobs.worker import WorkerConfig, run_worker
from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy
from catalog.storage import schema
from catalog.storage.buckets import BucketTable
from catalog.storage.images import ImageTable
from catalog.storage.operations import OperationTable
from catalog.storage.requests import RequestTable
from catalog.transport.access import ROLES, RULES
from catalog.transport.errors import TABLE
from catalog.transport.operations import OperationsServicer
from catalog.transport.servicer import CatalogServicer, UseCases
from catalog.transport.signer_client import RETRIED, GrpcSigner
from serving.channel import secure_channel
from serving.database import Database, create_engine
from serving.faults import Fault
from serving.gate import Gate, GateReasons
from serving.identity import SpiffeIdentifier
from serving.policy import FollowedPolicy
from serving.server import Server, ServerConfig, build, serve
from serving.telemetry import RpcLog

SERVICES = ("sealmount.catalog.v1.CatalogService", "google.longrunning.Operations")
_RENEWAL_SECONDS = 15.0
_DRAIN_SECONDS = 30.0
_LOGGER = logging.getLogger("catalog")


def database_of(url: str) -> Database:
    return Database(
        create_engine(url), lambda: Fault(Reason.STORAGE_UNAVAILABLE, "The database can't be had.")
    )


async def migrate(database_url: str) -> None:
    """The Catalog's own tables and those of its jobs."""
    await schema.migrate(database_url)
    await jobs_engine.migrate(database_url)


def signer_channel(config: Config) -> grpc.aio.Channel:
    """OSError or ValueError for unusable TLS files."""
    return secure_channel(
        config.signer_address,
        config.tls,
        retried=RETRIED,
        server_name=config.signer_name or None,
    )


@contextlib.asynccontextmanager
async def signer_of(config: Config) -> AsyncIterator[GrpcSigner]:
    """A client of the Signer whose certificate is renewed when its files change."""
    channel = signer_channel(config)
    signer = GrpcSigner(channel, config.signer_timeout)
    renewing = asyncio.create_task(_renew(config, signer))
    try:
        yield signer
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])
        await signer.close()


async def _renew(config: Config, signer: GrpcSigner) -> None:
    stamp = config.tls.stamp()
    while True:
        await asyncio.sleep(_RENEWAL_SECONDS)
        try:
            found = config.tls.stamp()
            if found == stamp:
                continue
            channel = signer_channel(config)
        except (OSError, ValueError) as error:  # half written: the old one goes on
            _LOGGER.warning("certificate kept", extra={"fields": {"why": type(error).__name__}})
            continue
        stamp = found
        await signer.replace(channel, _DRAIN_SECONDS)


@contextlib.asynccontextmanager
async def desk_of(config: Config, **overrides: Any) -> AsyncIterator[Desk]:
    """The use cases' ports. ``overrides`` are fields of :class:`Desk`, for tests."""
    async with contextlib.AsyncExitStack() as stack:
        parts: dict[str, Any] = dict(overrides)
        if "database" not in parts:
            database = database_of(config.database)
            stack.push_async_callback(database.close)
            parts["database"] = database
        if "queue" not in parts:
            queue = DbosJobQueue.open(config.database)
            stack.push_async_callback(queue.close)
            parts["queue"] = queue
        if "signer" not in parts:
            parts["signer"] = await stack.enter_async_context(signer_of(config))
        if "checker" not in parts:
            http = StoreHttp(StorePolicy(config.allowed_origins))
            parts["checker"] = StoreChecker(await stack.enter_async_context(http))
        tables = {
            "buckets": BucketTable(),
            "images": ImageTable(),
            "operations": OperationTable(),
            "requests": RequestTable(),
        }
        yield Desk(**{**tables, **parts})


@contextlib.asynccontextmanager
async def policy_of(config: Config) -> AsyncIterator[FollowedPolicy]:
    """The policy, read anew when its file changes. PolicyError, OSError."""
    policy = FollowedPolicy(config.policy, ROLES)
    following = asyncio.create_task(policy.follow())
    try:
        yield policy
    finally:
        following.cancel()
        await asyncio.wait([following])


def build_server(config: Config, desk: Desk, policy: FollowedPolicy) -> Server:
    """The gRPC server around a desk. OSError, ValueError and RuntimeError as serving.build."""
    gate = Gate(
        table=TABLE,
        reasons=GateReasons.of(Reason),
        rules=RULES,
        identify=SpiffeIdentifier(config.trust_domain, Reason.IDENTITY_MISSING),
        grants=policy,
        observe=RpcLog("catalog"),
        reflection=config.reflection,
    )
    use_cases = UseCases.of(desk)

    def register(server: grpc.aio.Server) -> None:
        add_CatalogServiceServicer_to_server(CatalogServicer(use_cases), server)
        add_OperationsServicer_to_server(OperationsServicer(use_cases.operations), server)

    return build(
        ServerConfig(address=config.listen, tls=config.tls),
        gate,
        services=SERVICES,
        register=register,
        reflect=config.reflection,
    )


@contextlib.asynccontextmanager
async def running(config: Config, **overrides: Any) -> AsyncIterator[Server]:
    """A Catalog's server in this process, ended with the block: for tests."""
    async with desk_of(config, **overrides) as desk, policy_of(config) as policy:
        server = build_server(config, desk, policy)
        await server.grpc.start()
        await server.health.set(serving=True)
        try:
            yield server
        finally:
            await server.grpc.stop(1.0)


async def run(config: Config) -> None:
    """Serves until SIGTERM or SIGINT."""
    async with desk_of(config) as desk, policy_of(config) as policy:
        await serve(build_server(config, desk, policy))


async def work(config: Config) -> None:
    """Runs jobs until SIGTERM or SIGINT. WorkerRunning as run_worker."""
    http = StoreHttp(StorePolicy(config.allowed_origins))
    async with signer_of(config) as signer, http:
        settings = JobSettings(
            max_images_per_bucket=config.max_images_per_bucket,
            operation_retention=timedelta(days=config.operation_retention_days),
        )
        worker = WorkerConfig(config.database, config.worker_id, settings=settings)
        await run_worker(worker, signer, http)
