"""Runs a deployment: the Signer, the Catalog and its worker, each a process of its own.

with Pair(deployment) as pair:      # returns when all three are ready
    ...
    pair.check()                    # ChildDied if one has ended by itself
"""

import contextlib
import socket
from typing import Self

import grpc
from grpc_health.v1 import (  # type: ignore[import-untyped]
    health_pb2,
    health_pb2_grpc,
)

from sealmount.commands.deployment import Deployment
from sealmount.commands.processes import Child, Group, python, within

READY_SECONDS = 90.0
# The worker listens on nothing, so that it says it on its standard output.
_WORKER_READY = "sealmount catalog worker ready"


class Pair:
    """The three processes. Stopped in the opposite order, each with time to drain."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._group = Group()
        self._children: dict[str, Child] = {}

    def start(self) -> None:
        """Raises OSError for a port that is taken, ChildDied, or TimeoutError after 90 seconds."""
        for port in (self.deployment.signer_port, self.deployment.catalog_port):
            _demand_free(port)
        # All at once: each of them waits for what it needs of the others.
        for name in ("signer", "catalog", "worker"):
            self.launch(name)
        for name in ("signer", "catalog", "worker"):
            self.ready(name)

    def launch(self, name: str) -> Child:
        """Starts ``signer``, ``catalog`` or ``worker``, without waiting for it."""
        service = "signer" if name == "signer" else "catalog"
        action = "worker" if name == "worker" else "serve"
        child = Child(
            name,
            python("-m", service, action),
            self.deployment.environment(service),
            self.deployment.logs / f"{name}.log",
        )
        self._children[name] = self._group.start(child)
        return child

    def revive(self, name: str) -> None:
        """Starts it and waits until it is ready, if it isn't running."""
        if name not in self._children or not self._children[name].alive:
            if name in self._children:
                self.stop(name)
            self.launch(name)
        self.ready(name)

    def child(self, name: str) -> Child:
        return self._children[name]

    def stop(self, name: str) -> int | None:
        """Stops one with SIGTERM, and gives its exit code."""
        return self._group.stop(self._children.pop(name))

    def kill(self, name: str) -> None:
        """Ends one with SIGKILL."""
        self._group.kill(self._children.pop(name))

    def check(self) -> None:
        self._group.check()

    def ready(self, name: str) -> None:
        """Waits until ``signer``, ``catalog`` or ``worker`` says that it is.

        ChildDied if one of the three ends meanwhile, TimeoutError with the last lines of its log
        after 90 seconds.
        """
        child = self._children[name]
        try:
            if name == "worker":
                self._await_line(child, _WORKER_READY)
            else:
                self._await_serving(name)
        except TimeoutError as late:
            lines = "".join(f"\n    {line}" for line in child.tail(5))
            raise TimeoutError(f"{late}. Its last lines ({child.log}):{lines}") from None

    def _await_line(self, child: Child, line: str) -> None:
        for _ in within(READY_SECONDS, f"{child.name} is ready"):
            self.check()
            if child.said(line):
                break

    def _await_serving(self, name: str) -> None:
        address = self.deployment.signer if name == "signer" else self.deployment.catalog
        with self.deployment.connect("operator", address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for _ in within(READY_SECONDS, f"{name} is ready"):
                self.check()
                with contextlib.suppress(grpc.RpcError):
                    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        break

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._group.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._group.__exit__()


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise OSError(f"port {port} of 127.0.0.1 is taken; is another pair running?") from None


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
