"""A running Signer behind its real gRPC server, mTLS, policy and database, in this process.

    rig = Rig(folder, certificates, database_url)
    async with rig.running() as signer:
        binding = await signer.acme.ok("GetBinding", name="projects/acme/bindings/photos")
        answer = await signer.viewer.call("RotateBinding", name=...)
        answer.reason            # "ROLE_MISSING"

Several at once on one database are replicas: give each an audit file of its own. ``acme`` and
``beta`` hold every role in the project of that name; ``writer``, ``operator``, ``reader``,
``catalog`` and ``viewer`` hold one role in acme; ``stranger`` is in no grant.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from sealmount import pki
from sealmount.signer.v1 import service_pb2

from serving.channel import secure_channel
from serving.server import Server
from serving.tls import TlsFiles
from signer import bootstrap
from signer.bootstrap import Signer
from signer.config import Config
from signer.sealing import keyring

DOMAIN = "example.org"
ROLES = {
    "writer": "credential.writer",
    "operator": "binding.operator",
    "reader": "url.signer",
    "catalog": "catalog",
    "viewer": "viewer",
}
EVERY_ROLE = tuple(ROLES.values())
IDENTITIES = ("acme", "beta", "stranger", *ROLES)
METHODS = {m.name: m for m in service_pb2.DESCRIPTOR.services_by_name["SignerService"].methods}


class RigClock:
    """Wall time stands still until ``advance``; sleeps and bounds are real, or ``hurried``."""

    def __init__(self, *, hurried: bool = True) -> None:
        self.time = datetime(2026, 2, 3, 12, 0, 0, 250_000, UTC)
        self._hurried = hurried

    def advance(self, **by: float) -> None:
        self.time += timedelta(**by)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02) if self._hurried else seconds)


@dataclass(frozen=True)
class Answer:
    """All that a caller gets to see of one call."""

    response: Any = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    trailers: tuple[tuple[str, Any], ...] = ()
    initial: tuple[tuple[str, Any], ...] = ()

    def _details(self, kind: Any) -> list[Any]:
        binary = dict(self.trailers).get(rpc_status.GRPC_DETAILS_METADATA_KEY, b"")
        found = []
        for detail in status_pb2.Status.FromString(binary).details:
            if detail.Is(kind.DESCRIPTOR):
                found.append(kind())
                detail.Unpack(found[-1])
        return found

    @property
    def info(self) -> Any:
        """The one ErrorInfo: an AssertionError when there are none or several."""
        infos = self._details(error_details_pb2.ErrorInfo)
        assert len(infos) == 1, self
        return infos[0]

    @property
    def reason(self) -> str:
        return str(self.info.reason) if self.code is not grpc.StatusCode.OK else "OK"

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.info.metadata)

    @property
    def fields(self) -> list[str]:
        """The paths of the fields that a BadRequest blames."""
        bad = self._details(error_details_pb2.BadRequest)
        return [violation.field for found in bad for violation in found.field_violations]

    def everything(self) -> bytes:
        """The lot as bytes, to search for what mustn't be in it."""
        parts = [b"" if self.response is None else self.response.SerializeToString()]
        parts += [repr(self).encode(), repr(str(self.response)).encode()]
        for _, value in (*self.trailers, *self.initial):
            parts.append(value if isinstance(value, bytes) else value.encode())
        return b"\0".join(parts)


def request_class(method: str) -> Any:
    return message_factory.GetMessageClass(METHODS[method].input_type)


class Client:
    """One identity's calls."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def send(self, method: str, raw: bytes, **options: Any) -> Answer:
        """Bytes as they are, for requests that no library would make."""
        output = message_factory.GetMessageClass(METHODS[method].output_type)
        rpc: Any = self.channel.unary_unary(
            f"/sealmount.signer.v1.SignerService/{method}", response_deserializer=output.FromString
        )
        call = rpc(raw, timeout=options.pop("timeout", 20), **options)
        try:
            response = await call
        except grpc.aio.AioRpcError as error:
            return Answer(
                None,
                error.code(),
                error.details() or "",
                tuple(error.trailing_metadata() or ()),
                tuple(error.initial_metadata() or ()),
            )
        trailers, initial = await call.trailing_metadata(), await call.initial_metadata()
        return Answer(response, trailers=tuple(trailers or ()), initial=tuple(initial or ()))

    async def call(self, method: str, request: Any = None, /, **fields: Any) -> Answer:
        """``request`` is a message; or its fields, nested ones as dicts."""
        message = request_class(method)(**fields) if request is None else request
        return await self.send(method, message.SerializeToString())

    async def ok(self, method: str, request: Any = None, /, **fields: Any) -> Any:
        """The response; an AssertionError with the whole answer when it was refused."""
        answer = await self.call(method, request, **fields)
        assert answer.code is grpc.StatusCode.OK, (answer.reason, answer.fields, answer.message)
        return answer.response

    async def refused(self, method: str, request: Any = None, /, **fields: Any) -> Answer:
        answer = await self.call(method, request, **fields)
        assert answer.code is not grpc.StatusCode.OK, answer.response
        return answer


@dataclass
class Running:
    """A started Signer and a client for each identity."""

    signer: Signer
    server: Server
    config: Config
    clients: dict[str, Client]

    def __getattr__(self, name: str) -> Client:
        try:
            return self.clients[name]
        except KeyError:
            raise AttributeError(name) from None

    async def until_open(self, seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while self.signer.refusal() is not None:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)


class Certificates:
    """One CA and a certificate for each identity: made once, used by many tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pki.create_ca(folder, DOMAIN)
        pki.issue(folder, "server", dns=["localhost"], ips=["127.0.0.1"])
        for name in IDENTITIES:
            pki.issue(folder, name)

    def files(self, name: str) -> TlsFiles:
        folder = self.folder
        return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


def policy_text() -> str:
    grants = [("acme", EVERY_ROLE, "acme"), ("beta", EVERY_ROLE, "beta")]
    grants += [(name, (role,), "acme") for name, role in ROLES.items()]
    return "".join(
        f'[[grant]]\nidentity = "spiffe://{DOMAIN}/{who}"\nroles = {list(roles)}\n'
        f'projects = ["{project}"]\n'
        for who, roles, project in grants
    )


@dataclass
class Rig:
    """A folder with keyring, policy and audit log; ``database`` is migrated already."""

    folder: Path
    certificates: Certificates
    database: str
    clock: Any = field(default_factory=RigClock)

    def __post_init__(self) -> None:
        (self.folder / "policy.toml").write_text(policy_text())
        if not self.keyring.exists():
            keyring.create(self.keyring)
        self.config = Config(
            listen="127.0.0.1:0",
            tls=self.certificates.files("server"),
            trust_domain=DOMAIN,
            policy=self.folder / "policy.toml",
            database=self.database,
            keyring=self.keyring,
            audit_file=self.folder / "audit.jsonl",
            audit_durable=False,
            audit_timeout=1.0,
            deployment="test",
            insecure_origins=frozenset(),
            reflection=False,
            staleness=1.0,
            log_level="DEBUG",
        )

    @property
    def keyring(self) -> Path:
        return self.folder / "keyring.json"

    @property
    def audit_file(self) -> Path:
        return self.config.audit_file

    def channel(self, port: int, name: str) -> grpc.aio.Channel:
        """Sends more than a server takes, so that it is the server that refuses."""
        files = self.certificates.files(name)
        return secure_channel(f"localhost:{port}", files, max_send_bytes=16 * 1024 * 1024)

    @contextlib.asynccontextmanager
    async def running(self, *, wait: bool = True, **changes: Any) -> AsyncIterator[Running]:
        """``changes`` are fields of Config, and ``keks`` or ``kinds`` for the bootstrap."""
        overrides = {name: changes.pop(name) for name in ("keks", "kinds") if name in changes}
        config = replace(self.config, **changes)
        async with (
            bootstrap.running(config, clock=self.clock, **overrides) as (signer, server),
            contextlib.AsyncExitStack() as channels,
        ):
            clients = {}
            for name in IDENTITIES:
                channel = self.channel(server.port, name)
                clients[name] = Client(await channels.enter_async_context(channel))
            running = Running(signer, server, config, clients)
            if wait:
                await running.until_open()
            yield running
