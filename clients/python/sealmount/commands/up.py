"""`sealmount up`: runs the Signer and the Catalog on this machine, with everything they need.

The state folder holds certificates, policies, the keyring, both databases, the audit log and the
processes' logs; the second start finds it all. Ctrl-C or SIGTERM ends the pair cleanly, and a
process that dies takes the others with it.
"""

import argparse
import fcntl
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealmount.commands.deployment import Deployment

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_arguments(subparsers: "Subparsers") -> None:
    command = subparsers.add_parser("up", help="run the pair on this machine")
    command.add_argument(
        "--dir", type=Path, default=Path(".sealmount"), help="the state folder (%(default)s)"
    )
    command.add_argument("--signer-port", type=int, default=7443, help="(%(default)s)")
    command.add_argument("--catalog-port", type=int, default=7444, help="(%(default)s)")
    command.add_argument(
        "--store-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a store on plain http or a private address: http://127.0.0.1:9000; repeatable",
    )
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from sealmount.commands.deployment import Deployment

    deployment = Deployment(
        arguments.dir,
        arguments.signer_port,
        arguments.catalog_port,
        tuple(arguments.store_origin),
    )
    arguments.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    with _only_one(arguments.dir):
        return _serve(deployment, asked_to_stop)


def _serve(deployment: "Deployment", asked_to_stop: threading.Event) -> int:
    from sealmount.commands import hints
    from sealmount.commands.pair import Pair
    from sealmount.commands.processes import ChildDied

    try:
        deployment.prepare()
        with Pair(deployment) as pair:
            _say(f"Signer  {deployment.signer}   Catalog  {deployment.catalog}")
            _say(f"State, keys and logs are in {deployment.folder}/", "")
            _say("\n\n".join(hints.lines(deployment)), "", "Ctrl-C ends it.")
            while not asked_to_stop.wait(0.2):
                pair.check()
            _say("Stopping.")
    except (ChildDied, TimeoutError) as failure:
        sys.stderr.write(f"sealmount: {failure}\n")
        return 1
    return 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two pairs in one folder would write one audit log. OSError if another one is running."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"another pair is running in {folder}") from None
        yield
