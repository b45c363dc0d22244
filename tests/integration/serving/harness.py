"""A small service behind the real server, gate and certificates, for the tests of ``serving``.

The service ``probe.v1.Probe`` knows one message with ``name``, ``payload`` and ``inner``; each test
brings its methods. Everything listens on loopback only.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from sealmount import pki

from serving.channel import secure_channel
from serving.faults import Fault
from serving.gate import FaultTable, Gate, GateReasons, RpcRecord, Rule
from serving.identity import SpiffeIdentifier
from serving.policy import Policy, parse
from serving.server import Server, ServerConfig, build
from serving.tls import TlsFiles

DOMAIN = "example.org"
SERVICE = "probe.v1.Probe"
CLIENT = f"spiffe://{DOMAIN}/client"
ROLES = {"reader", "writer"}
POLICY = f"""
[[grant]]
identity = "{CLIENT}"
roles = ["reader"]
projects = ["acme"]
"""


class Reason(StrEnum):
    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    INVALID_FIELD = "INVALID_FIELD"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    IDENTITY_MISSING = "IDENTITY_MISSING"
    ROLE_MISSING = "ROLE_MISSING"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    SEALED = "SEALED"


class StrangeReason(StrEnum):
    """Of another enum: in no table."""

    STRANGE = "STRANGE"


CODES = {
    Reason.MALFORMED_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.INVALID_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.REQUEST_TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.IDENTITY_MISSING: grpc.StatusCode.UNAUTHENTICATED,
    Reason.ROLE_MISSING: grpc.StatusCode.PERMISSION_DENIED,
    Reason.RESOURCE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.SEALED: grpc.StatusCode.FAILED_PRECONDITION,
}


def _message_class() -> Any:
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="probe/v1/probe.proto", package="probe.v1", syntax="proto3"
    )
    probe = file.message_type.add(name="Message")
    text = {"type": kind.TYPE_STRING, "label": kind.LABEL_OPTIONAL}
    probe.field.add(name="name", number=1, **text)
    probe.field.add(name="payload", number=2, **text)
    probe.field.add(
        name="inner",
        number=3,
        type=kind.TYPE_MESSAGE,
        label=kind.LABEL_OPTIONAL,
        type_name=".probe.v1.Message",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("probe.v1.Message"))


Message = _message_class()
Behavior = Callable[..., Any]


def unary(behavior: Behavior) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        behavior, Message.FromString, Message.SerializeToString
    )


def streaming(behavior: Behavior) -> Any:
    return grpc.unary_stream_rpc_method_handler(
        behavior, Message.FromString, Message.SerializeToString
    )


def both_streaming(behavior: Behavior) -> Any:
    return grpc.stream_stream_rpc_method_handler(
        behavior, Message.FromString, Message.SerializeToString
    )


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


@dataclass
class Pki:
    """A CA with a server's certificate and a client's, in a folder of the test."""

    folder: Path
    client_ca: Path | None = None  # what clients trust, when it isn't what the server does

    def __post_init__(self) -> None:
        pki.create_ca(self.folder, DOMAIN)
        self.issue("server", dns=["localhost"], ips=["127.0.0.1"])
        self.issue("client")

    def issue(self, name: str, **options: Any) -> pki.Issued:
        return pki.issue(self.folder, name, **options)

    def files(self, name: str) -> TlsFiles:
        return TlsFiles(
            self.folder / f"{name}.pem", self.folder / f"{name}.key", self.folder / "ca.pem"
        )

    def client_files(self, name: str) -> TlsFiles:
        files = self.files(name)
        return TlsFiles(files.certificate, files.key, self.client_ca or files.ca)


@dataclass
class Running:
    """A started server, and what its gate observed."""

    server: Server
    pki: Pki
    records: list[tuple[str, str, str]]

    def channel(self, name: str = "client", **options: Any) -> grpc.aio.Channel:
        return secure_channel(
            f"localhost:{self.server.port}", self.pki.client_files(name), **options
        )

    async def call(
        self, method: str, request: Any = b"", *, client: str = "client", **options: Any
    ) -> "Answer":
        async with self.channel(client) as channel:
            return await call(channel, method, request, **options)


@dataclass(frozen=True)
class Answer:
    """All that a caller gets to see: compare two of these to compare everything."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    trailers: tuple[tuple[str, Any], ...] = ()
    initial: tuple[tuple[str, Any], ...] = ()
    raw: bytes = b""
    items: tuple[bytes, ...] = field(default=())

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        """The one ErrorInfo; an AssertionError when there are none or several."""
        infos = [d for d in self.status.details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
        assert len(infos) == 1
        info = error_details_pb2.ErrorInfo()
        infos[0].Unpack(info)
        return info

    @property
    def status(self) -> status_pb2.Status:
        binary = dict(self.trailers)[rpc_status.GRPC_DETAILS_METADATA_KEY]
        return status_pb2.Status.FromString(binary)

    def everything(self) -> bytes:
        """The lot as bytes, to search for what mustn't be in it."""
        return repr((self, str(self.status) if self.trailers else "")).encode() + b"".join(
            value if isinstance(value, bytes) else value.encode()
            for _, value in (*self.trailers, *self.initial)
        )


async def call(
    channel: grpc.aio.Channel, method: str, request: Any = b"", **options: Any
) -> Answer:
    """A unary call; ``request`` is a message, or bytes that are sent as they are."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    full = method if method.startswith("/") else path(method)
    rpc: Any = channel.unary_unary(full)
    try:
        return Answer(raw=await rpc(raw, **options))
    except grpc.aio.AioRpcError as error:
        return Answer(
            error.code(),
            error.details() or "",
            tuple(error.trailing_metadata() or ()),
            tuple(error.initial_metadata() or ()),
        )


async def stream(channel: grpc.aio.Channel, method: str, request: Any, **options: Any) -> Answer:
    """A server stream to its end, with the messages that came before."""
    items: list[bytes] = []
    rpc: Any = channel.unary_stream(path(method))
    try:
        async for item in rpc(request.SerializeToString(), **options):
            items.append(item)  # noqa: PERF401  # what came before the error counts
    except grpc.aio.AioRpcError as error:
        return Answer(
            error.code(),
            error.details() or "",
            tuple(error.trailing_metadata() or ()),
            items=tuple(items),
        )
    return Answer(items=tuple(items))


@contextlib.asynccontextmanager
async def running(
    certificates: Pki,
    handlers: Mapping[str, Any],
    *,
    rules: Mapping[str, Rule] | None = None,
    policy: Policy | None = None,
    config: Mapping[str, Any] | None = None,
    observe: Callable[[RpcRecord], None] | None = None,
    **gate_options: Any,
) -> AsyncIterator[Running]:
    """The service with ``handlers``, open to readers by ``name`` unless ``rules`` differ."""
    records: list[tuple[str, str, str]] = []

    def seen(record: RpcRecord) -> None:
        records.append((record.method, record.code, record.reason))
        if observe is not None:
            observe(record)

    if rules is None:
        rules = {path(name): Rule(frozenset({"reader"}), "name") for name in handlers}
    options = {"identify": SpiffeIdentifier(DOMAIN, Reason.IDENTITY_MISSING), **gate_options}
    gate = Gate(
        table=FaultTable("probe.sealmount", CODES),
        reasons=GateReasons.of(Reason),
        rules=rules,
        grants=policy or parse(POLICY, ROLES),
        observe=seen,
        **options,
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, dict(handlers))
    server = build(
        ServerConfig("127.0.0.1:0", certificates.files("server"), **(config or {})),
        gate,
        services=(SERVICE,),
        register=lambda s: s.add_generic_rpc_handlers([handler]),
        reflect=bool(gate_options.get("reflection")),
    )
    async with started(server):
        yield Running(server, certificates, records)


@contextlib.asynccontextmanager
async def started(server: Server) -> AsyncIterator[None]:
    await server.grpc.start()
    await server.health.set(serving=True)
    try:
        yield
    finally:
        await server.grpc.stop(None)


def sealed() -> Fault:
    return Fault(Reason.SEALED, "The service is sealed.")
