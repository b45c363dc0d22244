"""Channels with mutual TLS, and refusals as values, for programs that speak to Sealmount.

identity = Identity.of(Path("pki"), "operator")      # pki/ca.pem, operator.pem, operator.key
with connect("localhost:7443", identity) as channel:
    signer = SignerServiceStub(channel)
    try:
        signer.GetBinding(request, timeout=5)
    except grpc.RpcError as error:
        print(refusal_of(error).reason)              # "RESOURCE_NOT_FOUND"
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

_MAX_RECEIVE_BYTES = 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """The files of a client certificate: the CA's, its own (leaf first) and its key, all PEM."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> Self:
        """The files as ``sealmount pki`` names them."""
        return cls(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call failed. ``reason`` and ``domain`` are ``""`` when no server of ours answered."""

    code: grpc.StatusCode
    reason: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


def connect(address: str, identity: Identity, *, server_name: str | None = None) -> grpc.Channel:
    """A channel to ``host:port``; ``server_name`` is the certificate's, if it isn't the host.

    Use it as a context manager, or close it. Raises OSError for files that can't be read. The
    connection is made with the first call.
    """
    credentials = grpc.ssl_channel_credentials(
        identity.ca.read_bytes(), identity.key.read_bytes(), identity.certificate.read_bytes()
    )
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
        # A server that was started anew is found again within a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # The environment's proxy has no business between two services.
        ("grpc.enable_http_proxy", 0),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    return grpc.secure_channel(address, credentials, options)


def refusal_of(error: grpc.RpcError) -> Refusal:
    """The one ErrorInfo that each of our errors carries (AIP-193), as a value."""
    call: grpc.Call = error  # type: ignore[assignment]  # what a stub raises is both
    code, message = call.code(), call.details() or ""
    status = rpc_status.from_call(call)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return Refusal(code, info.reason, info.domain, dict(info.metadata), message)
    return Refusal(code, message=message)
