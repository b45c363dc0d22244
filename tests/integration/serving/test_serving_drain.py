"""SIGTERM on a real process: what runs may finish, what comes is refused, the exit is clean."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving.channel import secure_channel
from tests.integration.serving.harness import Message, Pki, call

pytestmark = pytest.mark.timeout(60)
ROOT = Path(__file__).parents[3]


def sleep_for(seconds: float) -> Any:
    return Message(name="projects/acme/things/t", payload=str(seconds))


@contextlib.asynccontextmanager
async def served(pki: Pki, grace: float) -> AsyncIterator[tuple[Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.serving.drained", str(pki.folder), str(grace)),
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_sigterm_lets_the_call_in_flight_finish(shared_pki: Pki) -> None:
    async with served(shared_pki, 10) as (process, port):
        channel = secure_channel(f"localhost:{port}", shared_pki.files("client"))
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")  # type: ignore[arg-type]
        assert await watch.read() == b"\x08\x01"
        in_flight = asyncio.create_task(call(channel, "Slow", sleep_for(1)))
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert await watch.read() == b"\x08\x02"  # NOT_SERVING, and then the stream ends
        assert await watch.read() is grpc.aio.EOF
        async with secure_channel(f"localhost:{port}", shared_pki.files("client")) as other:
            late = await call(other, "Slow", sleep_for(0), timeout=0.4)
        answer = await in_flight
        began = time.monotonic()
        _, logged = await process.communicate()
        await channel.close()
    assert answer.code is grpc.StatusCode.OK
    assert late.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert process.returncode == 0
    assert time.monotonic() - began < 3  # not the whole grace
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [line["message"] for line in lines if line["logger"] == "serving.server"] == [
        "serving",
        "signal received",
        "stopped",
    ]
    assert [line["code"] for line in lines if line.get("rpc") == "/probe.v1.Probe/Slow"] == ["OK"]


async def test_a_second_signal_forces(shared_pki: Pki) -> None:
    async with served(shared_pki, 30) as (process, port):
        async with secure_channel(f"localhost:{port}", shared_pki.files("client")) as channel:
            in_flight = asyncio.create_task(call(channel, "Slow", sleep_for(9)))
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            answer = await in_flight
        await process.communicate()
    assert answer.code is not grpc.StatusCode.OK
    assert time.monotonic() - began < 5
    assert process.returncode == 0


async def test_the_grace_ends(shared_pki: Pki) -> None:
    async with served(shared_pki, 0.3) as (process, port):
        async with secure_channel(f"localhost:{port}", shared_pki.files("client")) as channel:
            in_flight = asyncio.create_task(call(channel, "Slow", sleep_for(9)))
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            answer = await in_flight
        _, logged = await process.communicate()
    assert answer.code is not grpc.StatusCode.OK
    assert process.returncode == 0
    assert b"Traceback" not in logged
