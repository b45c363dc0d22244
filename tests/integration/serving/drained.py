"""The process of test_serving_drain: a real server that prints its port and serves until a signal.

python -m tests.integration.serving.drained CERTIFICATES GRACE
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from serving import telemetry
from serving.gate import FaultTable, Gate, GateReasons, Rule
from serving.identity import SpiffeIdentifier
from serving.policy import parse
from serving.server import ServerConfig, build, serve
from serving.telemetry import RpcLog
from serving.tls import TlsFiles
from tests.integration.serving.harness import (
    CODES,
    DOMAIN,
    POLICY,
    ROLES,
    SERVICE,
    Reason,
    path,
    unary,
)


async def slow(request: Any, _context: Any) -> Any:
    await asyncio.sleep(float(request.payload))
    return request


async def main(folder: Path, grace: float) -> None:
    telemetry.configure("signer")
    gate = Gate(
        table=FaultTable("probe.sealmount", CODES),
        reasons=GateReasons.of(Reason),
        rules={path("Slow"): Rule(frozenset({"reader"}), "name")},
        identify=SpiffeIdentifier(DOMAIN, Reason.IDENTITY_MISSING),
        grants=parse(POLICY, ROLES),
        observe=RpcLog("signer"),
    )
    files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    server = build(
        ServerConfig("127.0.0.1:0", files, grace=grace),
        gate,
        services=(SERVICE,),
        register=lambda s: s.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(SERVICE, {"Slow": unary(slow)})]
        ),
    )

    async def started() -> None:
        telemetry.watch(asyncio.get_running_loop())
        await server.health.set(serving=True)
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()

    await serve(server, started=started)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
