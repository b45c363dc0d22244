"""Health (grpc.health.v1) whose watchers let go of a server that drains.

gRPC's own servicer keeps a Watch stream open after the last NOT_SERVING, so that every drain would
take its whole grace for the sake of one waiting load balancer. Here the stream ends.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import (  # type: ignore[import-untyped]
    health_pb2,
    health_pb2_grpc,
)

_Status = health_pb2.HealthCheckResponse


class Health:
    """``""`` is the server as a whole; ``services`` are full names, such as
    ``sealmount.signer.v1.SignerService``. All are NOT_SERVING until :meth:`set` says otherwise.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), _Status.NOT_SERVING)
        self._changed = asyncio.Condition()
        self._draining = False

    def register(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    async def set(self, *, serving: bool, service: str | None = None) -> None:
        """Sets one service, or all of them. KeyError for an unknown name. No effect in a drain."""
        if service is not None and service not in self._statuses:
            raise KeyError(service)
        if not self._draining:
            await self._put((service,) if service is not None else tuple(self._statuses), serving)

    async def drain(self) -> None:
        """NOT_SERVING for good; every watcher hears it, and its stream ends."""
        self._draining = True
        await self._put(tuple(self._statuses), serving=False)

    async def _put(self, services: tuple[str, ...], serving: bool) -> None:
        status = _Status.SERVING if serving else _Status.NOT_SERVING
        async with self._changed:
            self._statuses.update(dict.fromkeys(services, status))
            self._changed.notify_all()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        status = self._statuses.get(request.service)
        if status is None:  # the health protocol's own answer, in plain gRPC
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return _Status(status=status)

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        statuses = {name: _Status(status=status) for name, status in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        told = None
        while True:
            status = self._status(request.service)
            if status != told:
                yield _Status(status=status)
                told = status
            if self._draining:
                return
            await self._change(request.service, told)

    def _status(self, service: str) -> Any:
        return self._statuses.get(service, _Status.SERVICE_UNKNOWN)

    async def _change(self, service: str, told: Any) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._draining or self._status(service) != told)
