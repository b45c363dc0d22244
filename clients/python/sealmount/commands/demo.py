"""`sealmount demo`: the whole story with real servers, in about a minute."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# Module and distribution of what the demo needs beside the servers.
_EXTRAS = {"rich": "rich", "PIL": "pillow", "signer": "sealmount", "catalog": "sealmount"}


def add_arguments(subparsers: "Subparsers") -> None:
    command = subparsers.add_parser("demo", help="mount a folder of images, rotate, move, revoke")
    command.add_argument("--images", type=Path, help="your own images (24 drawn ones)")
    command.add_argument(
        "--out", type=Path, default=Path("demo-out"), help="for the contact sheet (%(default)s)"
    )
    command.add_argument("--keep", action="store_true", help="keep the servers' folder")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    lacking = sorted({name for module, name in _EXTRAS.items() if find_spec(module) is None})
    if lacking:
        raise ValueError(f"the demo needs {', '.join(lacking)}: run `make demo`, or `uv sync`")
    from sealmount.demo.main import run

    return run(arguments.images, arguments.out, keep=arguments.keep)
