"""The Catalog's two servicers behind the real gate, on a loopback port without TLS.

Who calls is what the test says: ``service.identity`` is one of EDITOR, VIEWER and NOBODY.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.longrunning import operations_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sealmount.catalog.v1 import service_pb2_grpc

from catalog.domain.reasons import Reason
from catalog.transport import access
from catalog.transport.errors import TABLE
from catalog.transport.operations import OperationsServicer
from catalog.transport.servicer import CatalogServicer, UseCases
from serving.gate import Gate, GateReasons
from serving.policy import parse
from tests.fakes.catalog_fakes import Stage

EDITOR, VIEWER, NOBODY = (f"spiffe://example.org/{who}" for who in ("editor", "viewer", "nobody"))
_POLICY = f"""
[[grant]]
identity = "{EDITOR}"
roles = ["catalog.editor"]
projects = ["acme", "beta"]
[[grant]]
identity = "{VIEWER}"
roles = ["catalog.viewer"]
projects = ["acme"]
"""


@dataclass
class Service:
    """Stubs of a running Catalog. They are untyped, so that tests may send anything."""

    stage: Stage
    catalog: Any
    operations: Any
    identity: str = EDITOR


@dataclass(frozen=True)
class Refusal:
    """An error as a caller sees it; ``fields`` are those of BadRequest, ``text`` all its bytes."""

    code: str
    reason: str
    domain: str
    metadata: dict[str, str]
    fields: tuple[str, ...]
    text: bytes


@contextlib.asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[Service]:
    use_cases = UseCases.of(stage.desk())
    service: Service
    gate = Gate(
        table=TABLE,
        reasons=GateReasons.of(Reason),
        rules=access.RULES,
        identify=lambda _: service.identity,
        grants=parse(_POLICY, access.ROLES),
    )
    server = grpc.aio.server(interceptors=[gate], options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_CatalogServiceServicer_to_server(CatalogServicer(use_cases), server)
    operations_pb2_grpc.add_OperationsServicer_to_server(
        OperationsServicer(use_cases.operations), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        catalog: Any = service_pb2_grpc.CatalogServiceStub(channel)
        service = Service(stage, catalog, operations_pb2_grpc.OperationsStub(channel))
        await server.start()
        try:
            yield service
        finally:
            await server.stop(0.5)


async def refusal(call: Any) -> Refusal:
    """Awaits a call that must be refused, with exactly one ErrorInfo."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return _read(error)
    raise AssertionError(f"the call wasn't refused: {type(answer).__name__}")


def _read(error: grpc.aio.AioRpcError) -> Refusal:
    status = rpc_status.from_call(error)
    assert status is not None, error.code()
    infos, bad = [], error_details_pb2.BadRequest()
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
        else:
            assert detail.Unpack(bad)
    (info,) = infos
    return Refusal(
        code=error.code().name,
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        fields=tuple(violation.field for violation in bad.field_violations),
        text=status.SerializeToString(),
    )


def unpacked(any_message: Any, into: Any) -> Any:
    assert any_message.Unpack(into)
    return into
