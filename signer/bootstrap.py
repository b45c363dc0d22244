"""Builds the Signer: the only module that names concrete classes.

A Signer starts sealed. It opens once the key-encryption key can be had and the audit log takes a
record, and tries again every two seconds until then; meanwhile every RPC but health answers SEALED.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from sealmount.signer.v1.service_pb2_grpc import add_SignerServiceServicer_to_server

from serving.database import Database, create_engine
from serving.faults import Fault
from serving.gate import Gate, GateReasons
from serving.identity import SpiffeIdentifier
from serving.policy import FollowedPolicy
from serving.server import Server, ServerConfig, build, serve
from serving.telemetry import RpcLog
from signer.app.bindings import Bindings
from signer.app.compiler import Compiler
from signer.app.context import Desk
from signer.app.credentials import Credentials
from signer.app.signing import Signing
from signer.app.state import SigningState
from signer.audit.log import ChainedAuditLog
from signer.audit.record import Chain, start_of
from signer.audit.sink import FileSink
from signer.audit.verify import last_record
from signer.clock import SystemClock
from signer.config import Config
from signer.domain.ports import AuditEntry, Clock, Kind, Step
from signer.domain.reasons import Reason
from signer.providers.registry import KINDS
from signer.sealing.integrity import Integrity, StoredRoot, new_root, open_root
from signer.sealing.keks import KekRefused, KekUnavailable, KeyEncryptionKeys, WrappedKey
from signer.sealing.keyring import LocalKeyring
from signer.sealing.vault import EnvelopeVault
from signer.storage.founding import Founding
from signer.storage.guard import Guard
from signer.storage.ledger import SqlLedger
from signer.storage.rows import micros
from signer.storage.source import SqlStateSource
from signer.transport.access import ROLES, RULES
from signer.transport.errors import TABLE
from signer.transport.servicer import SignerServicer, UseCases

SERVICE = "sealmount.signer.v1.SignerService"
MIGRATIONS = Path(__file__).parent / "storage" / "migrations"
_RETRY_SECONDS = 2.0
_LOGGER = logging.getLogger("signer")


def _sealed() -> Fault:
    return Fault(Reason.SEALED, "The key-encryption key can't be had.")


def database_of(url: str) -> Database:
    return Database(
        create_engine(url), lambda: Fault(Reason.STORAGE_UNAVAILABLE, "The database can't be had.")
    )


async def open_integrity(
    founding: Founding, keks: KeyEncryptionKeys, deployment: str, clock: Clock
) -> Integrity:
    """The deployment's keys; at the very first start they are made. KekUnavailable, KekRefused."""
    stored = await founding.root()
    if stored is None:
        root = await new_root(keks, deployment)
        integrity = await open_root(keks, deployment, root)
        triple = (root.key_id, root.wrapped.ref, root.wrapped.blob)
        guard = Guard(integrity, deployment)
        if await founding.found(triple, guard, micros(clock.now()) or 0):
            return integrity
        stored = await founding.root()
    if stored is None:
        raise KekRefused("the database has state but no keys to it")
    key_id, ref, blob = stored  # wrapped for one deployment: another one can't open it
    return await open_root(keks, deployment, StoredRoot(key_id, WrappedKey(ref, blob)))


class Signer:
    """The Signer's life: sealed, open, draining. ``overrides`` replace parts in tests."""

    def __init__(self, config: Config, **overrides: Any) -> None:
        self._config = config
        self._clock: Clock = overrides.get("clock") or SystemClock()
        self._keks: KeyEncryptionKeys = overrides.get("keks") or LocalKeyring(config.keyring)
        self._kinds: Mapping[str, Kind] = overrides.get("kinds") or KINDS
        self._database = database_of(config.database)
        self._use_cases: UseCases | None = None
        self._state: SigningState | None = None
        self._audit: ChainedAuditLog | None = None
        self._sink: FileSink | None = None
        self._tasks: list[asyncio.Task[None]] = []
        # What runs beside the server, from its start to its end.
        self.beside: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def use_cases(self) -> UseCases:
        """SEALED until the Signer has opened."""
        if self._use_cases is None:
            raise _sealed()
        return self._use_cases

    def refusal(self) -> Fault | None:
        """Why nothing may be served now, or None."""
        if self._use_cases is None or self._state is None:
            return _sealed()
        return self._state.refusal()

    async def unseal(self) -> None:
        """Opens, or raises why not. KekUnavailable, KekRefused, Fault, OSError."""
        integrity = await open_integrity(
            Founding(self._database), self._keks, self._config.deployment, self._clock
        )
        guard = Guard(integrity, self._config.deployment)
        last, seen = last_record(self._config.audit_file)
        source = SqlStateSource(self._database, guard, least_generation=seen)
        audit = await self._open_audit(integrity, last)
        state = SigningState(source, self._clock, self._config.staleness, self._on_refused)
        self._audit = audit
        desk = Desk(
            ledger=SqlLedger(self._database, guard),
            audit=audit,
            clock=self._clock,
            request_mac=integrity.request_mac,
            staleness=self._config.staleness,
            committed=source.at_least,
            insecure_origins=self._config.insecure_origins,
        )
        vault = EnvelopeVault(self._keks, self._config.deployment)
        self._state = state
        await state.changed()  # what this refuses for is what the Signer then refuses for
        self._use_cases = UseCases(
            desk,
            Credentials(desk, state, vault, self._kinds),
            Bindings(desk, state),
            Signing(desk, state, Compiler(vault, self._kinds)),
        )

    async def _open_audit(
        self, integrity: Integrity, last: dict[str, Any] | None
    ) -> ChainedAuditLog:
        if self._sink is not None:  # of an attempt that failed, here or later
            await asyncio.to_thread(self._sink.close, 0.1)
            if self._sink.hangs():
                raise Fault(Reason.AUDIT_UNAVAILABLE, "The audit log hangs.")
        writer = str(uuid.uuid4())
        now = self._clock.now()
        sink = self._sink = FileSink(
            self._config.audit_file,
            Chain(writer, integrity.audit_mac),
            durable=self._config.audit_durable,
        )
        founding = Founding(self._database)
        try:
            generation = await founding.generation()
            first, code = start_of(writer, integrity.audit_mac, now, generation, last)
            await founding.anchor(writer, integrity.key_id, code, micros(now) or 0)
            audit = ChainedAuditLog(sink, self._clock, self._config.audit_timeout)
            await audit.start(first)
        except BaseException:
            sink.close(0.0)
            with contextlib.suppress(Fault):
                await founding.lift(writer)
            raise
        return audit

    async def _on_refused(self, fault: Fault) -> None:
        _LOGGER.error("state refused", extra={"fields": {"reason": str(fault.reason)}})
        if self._audit is not None:
            entry = AuditEntry(Step.REFUSED, "", "", "", "", reason=str(fault.reason))
            with contextlib.suppress(Fault):
                await self._audit.record(entry)

    async def keep_open(self, server: Server) -> None:
        """Unseals, however long that takes, then keeps state and health fresh for ever."""
        while self._use_cases is None:
            try:
                await self.unseal()
            except (KekUnavailable, KekRefused, Fault, OSError) as error:
                why = str(error.reason) if isinstance(error, Fault) else type(error).__name__
                _LOGGER.warning("still sealed", extra={"fields": {"why": why}})
                await self._clock.sleep(_RETRY_SECONDS)
            except Exception:
                _LOGGER.exception("still sealed, for a reason that nobody thought of")
                await self._clock.sleep(_RETRY_SECONDS)
        assert self._state is not None  # noqa: S101 - unseal sets both
        _LOGGER.info("unsealed", extra={"fields": {"generation": self._state.generation}})
        polling = asyncio.ensure_future(self._state.run())
        self._tasks.append(polling)
        while True:
            await server.health.set(serving=self.refusal() is None)
            await self._clock.sleep(_RETRY_SECONDS / 4)

    async def started(self, server: Server) -> None:
        self._tasks.append(asyncio.ensure_future(self.keep_open(server)))
        self._tasks += [asyncio.ensure_future(work()) for work in self.beside]

    async def close(self) -> None:
        """Ends tasks, the audit chain and the database's connections, in this order."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._state is not None:
            await self._state.close()
        if self._audit is not None:
            with contextlib.suppress(Fault):
                await self._audit.stop(self._state.generation if self._state else 0)
        await self._database.close()


def build_server(config: Config, signer: Signer) -> Server:
    """The gRPC server around a Signer. OSError, ValueError and RuntimeError as serving.build."""
    policy = FollowedPolicy(config.policy, ROLES)
    signer.beside.append(policy.follow)
    gate = Gate(
        table=TABLE,
        reasons=GateReasons.of(Reason),
        rules=RULES,
        identify=SpiffeIdentifier(config.trust_domain, Reason.IDENTITY_MISSING),
        grants=policy,
        ready=signer.refusal,
        observe=RpcLog("signer"),
        reflection=config.reflection,
    )
    servicer = SignerServicer(signer.use_cases)
    return build(
        ServerConfig(address=config.listen, tls=config.tls),
        gate,
        services=(SERVICE,),
        register=lambda server: add_SignerServiceServicer_to_server(servicer, server),
        reflect=config.reflection,
    )


@contextlib.asynccontextmanager
async def running(config: Config, **overrides: Any) -> AsyncIterator[tuple[Signer, Server]]:
    """A Signer with its server, started in this process and ended with the block: for tests."""
    signer = Signer(config, **overrides)
    server = build_server(config, signer)
    await server.grpc.start()
    await signer.started(server)
    try:
        yield signer, server
    finally:
        await server.grpc.stop(1.0)
        await signer.close()


async def run(config: Config) -> None:
    """Serves until SIGTERM or SIGINT."""
    signer = Signer(config)
    server = build_server(config, signer)

    async def started() -> None:
        await signer.started(server)

    try:
        await serve(server, started=started)
    finally:
        await signer.close()
