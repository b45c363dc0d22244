"""The Catalog's own commands.

    python -m catalog serve     # the gRPC server, until SIGTERM
    python -m catalog worker    # a process that runs its jobs, until SIGTERM
    python -m catalog migrate   # brings the database's schema up to date

Settings come from environment variables: see catalog/config.py.
"""

import argparse
import asyncio
import gc
import os
import sys

from catalog import bootstrap
from catalog.config import Config, load, load_database
from catalog.storage.schema import is_migrated
from serving.faults import Fault
from serving.telemetry import configure, watch


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="catalog", description="The mount service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("worker", help="run jobs until SIGTERM")
    commands.add_parser("migrate", help="bring the database's schema up to date")
    return parser


async def _start(command: str) -> int:
    config: Config = load(os.environ)
    configure("catalog", config.log_level)
    watch(asyncio.get_running_loop())
    if not await is_migrated(config.database):
        sys.stderr.write("catalog: the database's schema isn't current: run migrate\n")
        return 1
    if command == "worker":
        await bootstrap.work(config)
        return 0
    gc.collect()
    gc.freeze()
    await bootstrap.run(config)
    return 0


def main() -> int:
    """Exit code 0; 1 when the command refuses, with one line on stderr; 2 for wrong usage."""
    command = _parser().parse_args().command
    try:
        if command == "migrate":
            asyncio.run(bootstrap.migrate(load_database(os.environ)))
            return 0
        return asyncio.run(_start(command))
    except (Fault, OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"catalog: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
