"""A worker as a process of its own, to be killed: python -m … '{"database_url": …}'."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from catalog.jobs.retry import RetryPolicy
from catalog.jobs.tools import JobSettings
from catalog.jobs.worker import WorkerConfig, run_worker
from catalog.remote.guarded import StoreHttp
from catalog.remote.targets import StorePolicy
from serving.telemetry import configure
from tests.integration.jobs.fake_signer import FileSigner


async def main(told: dict[str, Any]) -> None:
    configure("catalog", level="INFO")
    signer = FileSigner(Path(told["signer"]))
    retry = RetryPolicy(**told.get("retry", {}))
    settings = JobSettings(retry=retry, **told.get("settings", {}))
    config = WorkerConfig(told["database_url"], settings=settings, **told.get("worker", {}))
    async with StoreHttp(StorePolicy(frozenset(told["origins"]))) as http:
        await run_worker(config, signer, http)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
