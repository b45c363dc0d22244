"""The client's side: an aio channel with mTLS, keepalive, limits and retries of idempotent reads.

reads = ["/sealmount.signer.v1.SignerService/GetBinding"]
channel = secure_channel("signer:7443", tls, retried=reads)
"""

import json
from collections.abc import Iterable
from typing import Any

import grpc

from serving.tls import TlsFiles

_MIB = 1024 * 1024
_RETRY: dict[str, Any] = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def service_config(retried: Iterable[str]) -> str:
    """gRPC's service config (grpc/service_config.proto) as JSON.

    ``retried`` are full method names, ``/package.Service/Method``: reads and RPCs that are
    idempotent, nothing else. They are tried up to four times on UNAVAILABLE, with backoff, as long
    as most calls succeed. ValueError for a name of another form.
    """
    names = []
    for method in retried:
        root, service, name = method.split("/") if method.count("/") == 2 else ("?", "", "")
        if root or not service or not name:
            raise ValueError(f"{method!r} is no /package.Service/Method")
        names.append({"service": service, "method": name})
    config: dict[str, Any] = {"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}
    if names:
        config["methodConfig"] = [{"name": names, "retryPolicy": _RETRY}]
    return json.dumps(config)


def secure_channel(
    target: str,
    tls: TlsFiles,
    *,
    retried: Iterable[str] = (),
    server_name: str | None = None,
    max_receive_bytes: int = 24 * _MIB,
    max_send_bytes: int = 4 * _MIB,
    own_connection: bool = False,
) -> grpc.aio.Channel:
    """A channel to ``host:port``. The server's certificate must be of ``tls.ca`` and its name.

    ``server_name`` is the DNS name in that certificate when it isn't the target's.
    ``own_connection`` keeps the channel from sharing a connection with others to the same target,
    which is how a client spreads over several processes behind one port. The certificate is read
    once: make a new channel when it changes. Raises OSError or ValueError for unusable files.
    """
    material = tls.read()
    credentials = grpc.ssl_channel_credentials(material.ca, material.key, material.certificate)
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", service_config(retried)),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", max_receive_bytes),
        ("grpc.max_send_message_length", max_send_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.use_local_subchannel_pool", int(own_connection)),
        # The environment's proxy has no business between two services.
        ("grpc.enable_http_proxy", 0),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    return grpc.aio.secure_channel(target, credentials, options=options)
