"""Load from a process of its own; prints how many items were answered per second.

python -m benchmarks.load --target 127.0.0.1:9000 --pki FOLDER --rpc batch --binding NAME
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
from sealmount.channels import Identity
from sealmount.signer.v1 import resources_pb2, service_pb2, service_pb2_grpc

BATCH = 1000
_WARM_UP = 0.5
# How many calls are under way at once. A batch keeps a server busy for milliseconds.
_UNDER_WAY = {"single": 32, "batch": 4}

Call = Callable[[], Awaitable[int]]


def _single(stub: "service_pb2_grpc.SignerServiceAsyncStub", binding: str) -> Call:
    request = service_pb2.SignObjectUrlRequest(
        binding=binding, object=resources_pb2.ObjectRef(key="photos/2026/000001.jpg")
    )

    async def call() -> int:
        await stub.SignObjectUrl(request)
        return 1

    return call


def _batch(stub: "service_pb2_grpc.SignerServiceAsyncStub", binding: str) -> Call:
    objects = [resources_pb2.ObjectRef(key=f"photos/2026/{n:06}.jpg") for n in range(BATCH)]
    request = service_pb2.BatchSignObjectUrlsRequest(binding=binding, objects=objects)

    async def call() -> int:
        response = await stub.BatchSignObjectUrls(request)
        if len(response.outcomes) != BATCH or not response.outcomes[-1].url:
            raise RuntimeError("not every object was signed for")
        return BATCH

    return call


async def _for(seconds: float, call: Call, under_way: int) -> float:
    """Items per second."""
    begun = time.perf_counter()

    async def worker() -> int:
        done = 0
        while time.perf_counter() - begun < seconds:
            done += await call()
        return done

    done = sum(await asyncio.gather(*(worker() for _ in range(under_way))))
    return done / (time.perf_counter() - begun)


async def run(target: str, pki: Path, rpc: str, binding: str, seconds: float) -> float:
    files = Identity.of(pki, "viewer")
    credentials = grpc.ssl_channel_credentials(
        files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )
    options = [("grpc.ssl_target_name_override", "localhost"), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(target, credentials, options) as channel:
        stub = service_pb2_grpc.SignerServiceStub(channel)
        call = (_single if rpc == "single" else _batch)(stub, binding)
        await _for(_WARM_UP, call, _UNDER_WAY[rpc])
        return await _for(seconds, call, _UNDER_WAY[rpc])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--pki", type=Path, required=True)
    parser.add_argument("--rpc", choices=sorted(_UNDER_WAY), required=True)
    parser.add_argument("--binding", required=True)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    print(asyncio.run(run(given.target, given.pki, given.rpc, given.binding, given.seconds)))
