"""`sealmount demo`, as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.needs import ROOT

pytestmark = [pytest.mark.needs("rclone"), pytest.mark.xdist_group("e2e")]
CLAIMS = (
    "what is told of a credential is metadata",
    "every object of the bucket is an image of the mount",
    "their headers were read through signed URLs",
    "each URL gives the very bytes of its object",
    "asked again, it is the same URL, so that caches work",
    "after the rotation returned, no URL is from the old key",
    "after the move, every URL leads to the new store",
    "same image names, same bytes, from another store",
    "rolled back and forth, each time at once and for good",
    "a URL from the revoked key is refused by the store",
    "nothing is signed with a disabled credential",
    "a credential is shredded only once nothing uses it, and then for good",
    "what was rotated off the dead key works",
    "through all this, not one request of the reader failed",
    "a store that is gone is a reason, not a broken picture",
    "when it is back, so are the images",
    "no secret in any database, log or audit record",
    "no signed URL in any of them either",
    "the audit log is whole, and names every object that was signed for",
    "a contact sheet of all images",
)


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sealmount.cli", "demo", "--out", str(folder / "out")]
    environment = {**os.environ, "COLUMNS": "200", "TMPDIR": str(folder), "NO_COLOR": "1"}
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def proven(output: str) -> dict[str, bool]:
    """The closing table: each claim, and whether it held."""
    table = output[output.index("What was proven") :]
    rows = [[cell.strip() for cell in line.split("│")] for line in table.splitlines()]
    return {row[2]: row[1] == "yes" for row in rows if len(row) == 5}


def test_it_proves_every_claim_and_leaves_a_contact_sheet(tmp_path: Path) -> None:
    result = demo(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert proven(result.stdout) == dict.fromkeys(CLAIMS, True)
    with Image.open(tmp_path / "out" / "contact-sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width * sheet.height > 500_000
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_it_fails_when_there_is_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = demo(tmp_path, "--images", str(tmp_path / "empty"))
    assert result.returncode == 1
    assert "has no images" in result.stdout + result.stderr
