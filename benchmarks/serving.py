"""The Signer's hot path over mutual TLS, beside a bare server that does only what it must."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from sealmount.commands.deployment import Deployment
from sealmount.commands.pair import free_port
from sealmount.commands.processes import Child, Group, python, within
from sealmount.demo.desk import Desk, s3
from sealmount.demo.stores import Key

from benchmarks import bare
from benchmarks.rows import Row, side_by_side

_ROUNDS = 3
_BINDING = "bench"


def start(group: Group, child: Child, ready: str) -> None:
    """Starts a helper and waits for its word."""
    group.start(child)
    for _ in within(120.0, f"{child.name} is ready"):
        group.check()
        if child.said(ready):
            break


def measure(deployment: Deployment, folder: Path, audit: str) -> list[Row]:
    """Against the running Signer of ``deployment``; ``audit`` names its audit mode."""
    with Desk(deployment, "bench") as desk:
        origin = deployment.store_origins[0]
        desk.store(_BINDING, Key.random(), [origin])
        name = desk.bind(_BINDING, _BINDING, s3(origin)).name
    target = f"127.0.0.1:{free_port()}"
    command = python("-m", "benchmarks.bare", "--listen", target, "--pki", str(deployment.pki))
    with Group() as group:
        start(group, Child("bare", command, dict(os.environ), folder / "bare.log"), bare.READY)

        def load(rpc: str, address: str) -> Callable[[], float]:
            return lambda: _load(deployment, rpc, address, name)

        batch = side_by_side(load("batch", deployment.signer), load("batch", target), _ROUNDS)
        single = side_by_side(load("single", deployment.signer), load("single", target), _ROUNDS)
    note = f"authorization and audit ({audit}); one server process, load from another"
    names = ("batch of 1,000 over mTLS", "single SignObjectUrl")
    return [
        Row(names[0], "URLs/s", batch[0], "bare aio server", batch[1], 0.65, note),
        Row(names[1], "calls/s", single[0], "empty aio handler", single[1], 0.7, note),
    ]


def _load(deployment: Deployment, rpc: str, target: str, binding: str) -> float:
    command = python("-m", "benchmarks.load", "--target", target, "--pki", str(deployment.pki))
    command += ["--rpc", rpc, "--binding", binding]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"the load failed: {result.stderr.strip().splitlines()[-1:]}")
    return float(result.stdout)
