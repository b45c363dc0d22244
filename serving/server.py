"""A gRPC server with everything around the servicers: TLS, limits, health, reflection, drain.

    server = build(config, gate, services=("sealmount.signer.v1.SignerService",),
                   register=lambda s: add_SignerServiceServicer_to_server(servicer, s))
    await serve(server)          # until SIGTERM or SIGINT

SIGTERM and SIGINT drain: health says NOT_SERVING, nothing new is accepted, calls in flight have
``grace`` seconds to finish. A second signal ends them at once.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc
from grpc_reflection.v1alpha import reflection

from serving.gate import DEFAULT_MAX_REQUEST_BYTES, Gate
from serving.health import Health
from serving.tls import ReloadingCertificates, TlsFiles

_LOGGER = logging.getLogger("serving.server")
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a server listens and how much it takes. Times in seconds, sizes in bytes.

    ``address`` is ``host:port``, port 0 for any free one. ``max_connection_age`` bounds how long a
    connection outlives a change of certificates or CAs; ``max_connection_age_grace`` is what its
    calls then have left. ``reuse_port`` lets several processes share the port (and hides, when
    set by mistake, that another server has it).
    """

    address: str
    tls: TlsFiles
    grace: float = 20.0
    lame_duck: float = 0.0  # wait between NOT_SERVING and closing the port, for load balancers
    max_receive_bytes: int = DEFAULT_MAX_REQUEST_BYTES + _MIB
    max_send_bytes: int = 24 * _MIB
    max_metadata_bytes: int = 16 * 1024
    max_concurrent_streams: int = 256  # per connection
    max_concurrent_rpcs: int | None = None  # for the process; more get RESOURCE_EXHAUSTED
    max_connection_age: float = 600.0
    max_connection_age_grace: float = 60.0
    max_connection_idle: float = 900.0
    handshake_timeout: float = 10.0
    keepalive_time: float = 60.0
    keepalive_timeout: float = 20.0
    min_ping_interval: float = 10.0
    reuse_port: bool = False

    def options(self) -> list[tuple[str, int]]:
        """gRPC core's channel arguments (grpc/impl/channel_arg_names.h)."""
        return [
            ("grpc.so_reuseport", int(self.reuse_port)),
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.max_send_message_length", self.max_send_bytes),
            ("grpc.max_metadata_size", self.max_metadata_bytes),
            ("grpc.absolute_max_metadata_size", self.max_metadata_bytes),
            ("grpc.max_concurrent_streams", self.max_concurrent_streams),
            ("grpc.max_connection_age_ms", _ms(self.max_connection_age)),
            ("grpc.max_connection_age_grace_ms", _ms(self.max_connection_age_grace)),
            ("grpc.max_connection_idle_ms", _ms(self.max_connection_idle)),
            ("grpc.server_handshake_timeout_ms", _ms(self.handshake_timeout)),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_time)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout)),
            # A client that pings more often than this is told to calm down and cut off.
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.min_ping_interval)),
            ("grpc.http2.max_ping_strikes", 2),
        ]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is built and bound, but doesn't accept yet. ``port`` is the one it got."""

    grpc: grpc.aio.Server
    health: Health
    config: ServerConfig
    port: int


def build(
    config: ServerConfig,
    gate: Gate,
    *,
    services: Sequence[str],
    register: Callable[[grpc.aio.Server], None],
    reflect: bool = False,
) -> Server:
    """Binds the port. ``register`` adds the servicers; ``services`` are their full proto names.

    ``reflect`` goes with the gate's ``reflection``. Raises OSError or ValueError for unusable TLS
    files, RuntimeError when the port is taken.
    """
    server = grpc.aio.server(
        interceptors=[gate],
        options=config.options(),
        maximum_concurrent_rpcs=config.max_concurrent_rpcs,
    )
    health = Health(services)
    health.register(server)
    register(server)
    if reflect:
        names = (*services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    credentials = ReloadingCertificates(config.tls).credentials()
    port = server.add_secure_port(config.address, credentials)
    return Server(server, health, config, port)


async def _nothing() -> None:
    return None


async def serve(
    server: Server,
    *,
    started: Callable[[], Awaitable[None]] = _nothing,
    draining: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    """Serves until a signal, then drains.

    ``started`` runs when the port accepts: it sets ``server.health`` when the service is ready, or
    starts what will. Without it health says SERVING at once. ``draining`` runs when the first
    signal came, before calls in flight are waited for: stop what makes new work there.
    """
    stop, force = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled(number: signal.Signals) -> None:
        _LOGGER.info("signal received", extra={"fields": {"signal": number.name}})
        (force if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)
    try:
        await server.grpc.start()
        _LOGGER.info("serving", extra={"fields": {"port": server.port}})
        if started is _nothing:
            await server.health.set(serving=True)
        await started()
        await stop.wait()
        await drain(server, force, draining)
    finally:
        await server.grpc.stop(None)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def drain(
    server: Server, force: asyncio.Event, draining: Callable[[], Awaitable[None]] = _nothing
) -> None:
    """Ends the server in order; ``force`` cuts it short."""
    await server.health.drain()
    forced = asyncio.ensure_future(force.wait())
    orderly = asyncio.ensure_future(_end(server, draining))
    try:
        await asyncio.wait({forced, orderly}, return_when=asyncio.FIRST_COMPLETED)
        if orderly.done():
            orderly.result()
        else:
            _LOGGER.warning("forced to stop; calls in flight are cut off")
    finally:
        forced.cancel()
        orderly.cancel()
        await asyncio.gather(forced, orderly, return_exceptions=True)
        await server.grpc.stop(None)
    _LOGGER.info("stopped")


async def _end(server: Server, draining: Callable[[], Awaitable[None]]) -> None:
    await draining()
    await asyncio.sleep(server.config.lame_duck)
    await server.grpc.stop(server.config.grace)
