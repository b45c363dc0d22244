"""`make bench`: our figures beside the peers', measured in turns in the same run.

    python -m benchmarks [--out FILE]

Prints a table and writes benchmarks/results.json. Ratios count; an absolute figure only says what
to expect of this machine. Exit code 0 also when a goal is missed: the table says so.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sealmount.commands.deployment import Deployment
from sealmount.commands.pair import Pair, free_port
from sealmount.commands.processes import Child, Group, python
from sealmount.demo.stores import Key

from benchmarks import importing, serving, signing, store
from benchmarks.rows import Row, Skipped

RESULTS = Path(__file__).with_name("results.json")
_TABLE_COLUMNS = 116
_MODE = "SEALMOUNT_SIGNER_AUDIT_MODE"


def rows(console: Console, folder: Path) -> Iterator[Row | Skipped]:
    """Every row; one whose part fails is skipped, with the reason."""
    console.print("S3 signing in process")
    yield signing.measure()
    key, port = Key.random(), free_port()
    origin = f"http://127.0.0.1:{port}"
    words = ["--port", str(port), "--key", f"{key.access_key_id}:{key.secret_access_key}"]
    command = python("-m", "benchmarks.store", *words, "--objects", str(importing.OBJECTS))
    try:
        with Group() as group:
            child = Child("store", command, dict(os.environ), folder / "store.log")
            serving.start(group, child, store.READY)
            deployment = Deployment(folder / "state", free_port(), free_port(), (origin,))
            deployment.prepare()
            audit = deployment.environment("signer").get(_MODE, "durable")
            with Pair(deployment):
                console.print(f"the Signer over mutual TLS, audit mode {audit}")
                yield from serving.measure(deployment, folder, audit)
                console.print(f"an import of {importing.OBJECTS:,} objects")
                yield importing.measure(deployment, origin, key)
    except (RuntimeError, TimeoutError, OSError) as failure:
        yield Skipped("what needs the running pair", str(failure))


def table(measured: list[Row | Skipped]) -> Table:
    shown = Table(title="Beside the peers")
    for name in ("what", "ours", "peer", "", "ratio", "goal", "met"):
        shown.add_column(name, justify="right" if name in ("ours", "peer", "ratio") else "left")
    for row in measured:
        if isinstance(row, Skipped):
            shown.add_row(row.what, "", "", f"skipped: {row.why}", "", "", "")
            continue
        figures = (f"{row.ours:,.0f} {row.unit}", f"{row.peer:,.0f}", row.peer_name)
        goal = (f"{row.ratio:.2f}×", f"≥ {row.goal:g}×", "yes" if row.met else "NO")
        shown.add_row(row.what, *figures, *goal)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    out: Path = parser.parse_args().out
    console = Console()
    console.width = max(console.width, _TABLE_COLUMNS)
    with tempfile.TemporaryDirectory(prefix="sealmount-bench-") as folder:
        measured = list(rows(console, Path(folder)))
    console.print(table(measured))
    document = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "rows": [row.as_json() for row in measured],
    }
    out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
