"""Sets the stage for the demo, plays the scenes and says what was proven."""

import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
from rich.console import Console

from sealmount.channels import refusal_of
from sealmount.commands.processes import ChildDied
from sealmount.demo import closing, mounting, revoking, rotating
from sealmount.demo.evidence import Evidence
from sealmount.demo.reader import Reader
from sealmount.demo.stage import MOUNT, set_up


def run(images: Path | None, out: Path, *, keep: bool = False) -> int:
    """0 when everything that was claimed was also seen, 1 otherwise."""
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _stop)
    folder = Path(tempfile.mkdtemp(prefix="sealmount-demo-"))
    begun = time.monotonic()
    evidence = Evidence(console)
    failed = ""
    try:
        _play(evidence, folder, images, out)
    except grpc.RpcError as error:
        refusal = refusal_of(error)
        failed = f"a call was refused: {refusal.code.name} {refusal.reason} {refusal.message}"
    except (ChildDied, TimeoutError, RuntimeError, OSError) as error:
        failed = str(error)
    except KeyboardInterrupt:
        failed = "it was interrupted"
    console.print()
    console.print(evidence.table())
    console.print(f"{time.monotonic() - begun:.0f} seconds.")
    if failed:
        console.print(f"The demo broke off: {failed}", markup=False, soft_wrap=True)
    good = evidence.holds and not failed
    if keep or not good:
        console.print(f"Files and logs: {folder}", markup=False, soft_wrap=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _play(evidence: Evidence, folder: Path, images: Path | None, out: Path) -> None:
    with ExitStack() as stack:
        stage = set_up(evidence, folder, images, stack)
        mounting.play(stage)
        reader = stack.enter_context(Reader(stage.desk, MOUNT, stage.digests))
        rotating.play(stage, reader)
        revoking.play(stage, reader)
        closing.play(stage, out)


def _stop(*_: object) -> None:
    """SIGTERM ends the demo as Ctrl-C does, so that every process is stopped on the way out."""
    raise KeyboardInterrupt
