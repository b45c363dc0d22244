"""A bare prototype of the Signer's hot path: the same TLS and messages, and nothing around them.

    python -m benchmarks.bare --listen 127.0.0.1:9000 --pki FOLDER

SignObjectUrl answers an empty message; BatchSignObjectUrls signs, without authorization, audit or
limits.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import grpc
from sealmount.channels import Identity
from sealmount.signer.v1 import service_pb2, service_pb2_grpc

from benchmarks.signing import REGION
from signer.domain.location import Location, Provider
from signer.domain.signing import Audience, Instant, Method, ObjectIntent
from tests.fakes.s3signing import AccessKey, s3_signer, utc_now

READY = "ready"


class Bare(service_pb2_grpc.SignerServiceServicer):
    """Answers with the contract's messages, so that both servers serialize the same."""

    def __init__(self) -> None:
        self._signer = s3_signer(Location(Provider.S3, "bucket", REGION), AccessKey())
        self._empty = service_pb2.SignObjectUrlResponse()

    async def SignObjectUrl(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._empty

    async def BatchSignObjectUrls(self, request: Any, context: Any) -> Any:  # noqa: N802
        intent = ObjectIntent(Method.GET, Audience.PUBLIC, Instant(utc_now(), expires=900))
        make = self._signer.objects(intent)
        outcome = service_pb2.UrlOutcome
        return service_pb2.BatchSignObjectUrlsResponse(
            outcomes=[outcome(url=make(item.key)) for item in request.objects]
        )


async def serve(listen: str, pki: Path) -> None:
    files = Identity.of(pki, "signer")
    credentials = grpc.ssl_server_credentials(
        [(files.key.read_bytes(), files.certificate.read_bytes())],
        files.ca.read_bytes(),
        require_client_auth=True,
    )
    server = grpc.aio.server()
    service_pb2_grpc.add_SignerServiceServicer_to_server(
        Bare(),  # type: ignore[abstract]  # the other RPCs answer UNIMPLEMENTED
        server,
    )
    server.add_secure_port(listen, credentials)
    await server.start()
    print(READY, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--pki", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.listen, arguments.pki))
