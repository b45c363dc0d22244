"""The Signer's own commands.

    python -m signer serve                  # until SIGTERM
    python -m signer migrate                # brings the database's schema up to date
    python -m signer keyring init --path P  # makes a keyring with one key
    python -m signer keyring add --path P   # adds a key and makes it the current one
    python -m signer audit verify [OLDER…]  # is the audit log whole, in order and unedited?

Settings come from environment variables: see signer/config.py.
"""

import argparse
import asyncio
import gc
import os
import sys
from pathlib import Path

from serving.faults import Fault
from serving.migrations import is_current, run_migrations
from serving.telemetry import configure, watch
from signer.audit.verify import verify
from signer.bootstrap import MIGRATIONS, database_of, open_integrity, run
from signer.clock import SystemClock
from signer.config import load, load_database, load_offline
from signer.hygiene import harden
from signer.sealing.keks import KekRefused, KekUnavailable
from signer.sealing.keyring import LocalKeyring, add_version, create
from signer.storage.founding import Founding


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="signer", description="The sealed service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the database's schema up to date")
    keyring = commands.add_parser("keyring", help="the file of key-encryption keys")
    keyring.add_argument("action", choices=("init", "add"))
    keyring.add_argument("--path", type=Path, required=True)
    audit = commands.add_parser("audit", help="the audit log")
    audit.add_argument("action", choices=("verify",))
    audit.add_argument(
        "older", nargs="*", type=Path, help="files that were moved away, oldest first"
    )
    return parser


async def _serve() -> int:
    config = load(os.environ)
    configure("signer", config.log_level)
    watch(asyncio.get_running_loop())
    if not await is_current(config.database, MIGRATIONS, "signer_schema"):
        sys.stderr.write("signer: the database's schema isn't current: run migrate\n")
        return 1
    gc.collect()
    gc.freeze()
    await run(config)
    return 0


async def _verify_audit(older: list[Path]) -> int:
    url, keyring, path, deployment = load_offline(os.environ)
    database = database_of(url)
    try:
        founding = Founding(database)
        if await founding.root() is None:
            raise KekRefused("no Signer has ever started on this database")
        integrity = await open_integrity(founding, LocalKeyring(keyring), deployment, SystemClock())
        # Before the log: whatever is in the database by now is on record when the log is read.
        anchors, generation = await founding.anchors(), await founding.generation()
        report = verify([*older, path], integrity.audit_mac, anchors, generation)
    finally:
        await database.close()
    for problem in report.problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(
        f"{report.records} records, {report.chains} chains, {report.open_ends} with an open end,"
        f" generation {report.generation}, {len(report.problems)} problems\n"
    )
    return 1 if report.problems else 0


def _keyring(action: str, path: Path) -> int:
    if action == "init":
        create(path)
    else:
        sys.stdout.write(f"{add_version(path)}\n")
    return 0


def main() -> int:
    """Exit code 0; 1 when the command refuses, with one line on stderr; 2 for wrong usage."""
    arguments = _parser().parse_args()
    try:
        harden()
        match arguments.command:
            case "serve":
                return asyncio.run(_serve())
            case "migrate":
                asyncio.run(run_migrations(load_database(os.environ), MIGRATIONS))
                return 0
            case "audit":
                return asyncio.run(_verify_audit(arguments.older))
            case _:
                return _keyring(arguments.action, arguments.path)
    except (Fault, KekUnavailable, KekRefused, OSError, ValueError, RuntimeError) as error:
        sys.stderr.write(f"signer: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
