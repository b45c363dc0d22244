"""The ``sealmount`` command.

A subcommand is a module with ``add_arguments(subparsers)``, which adds its parser and sets ``run``
on it: a function from the parsed arguments to the exit code. To add one, list its module here. It
is imported only when the command starts, so keep heavy imports inside ``run``.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = ("sealmount.pki", "sealmount.commands.up", "sealmount.commands.demo")


def parser() -> argparse.ArgumentParser:
    """The whole command line, built from :data:`COMMANDS`."""
    root = argparse.ArgumentParser(prog="sealmount", description="Work with Sealmount.")
    subparsers = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(name).add_arguments(subparsers)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 with one line on stderr when the command refuses; 2 for wrong usage."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sealmount: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
