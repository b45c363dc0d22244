"""Last scene: what was left behind, in every file; and all images on one page."""

from pathlib import Path

from sealmount.demo import sheet
from sealmount.demo.stage import Stage
from sealmount.demo.traces import forms, search


def play(stage: Stage, out: Path) -> None:
    _search(stage)
    _contact_sheet(stage, out)


def _search(stage: Stage) -> None:
    stage.say("Every file that the two services wrote is searched for the keys and for URLs.")
    folder = stage.pair.deployment.folder
    secrets = [key.secret_access_key for key in (stage.old, stage.new, stage.other)]
    planted = folder / "logs" / "planted"
    # The search must find what is there, or finding nothing says nothing.
    planted.write_bytes(b"".join(forms(secrets[0]).values()))
    control = search(planted.parent, secrets[:1])
    planted.unlink()
    found = search(folder, secrets)
    stage.evidence.add(
        "no secret in any database, log or audit record",
        not found.hits and found.files > 5 and len(control.hits) >= control.forms,
        f"{len(found.hits)} hits for {len(secrets)} secrets in {found.forms // len(secrets)} "
        f"spellings in {found.files} files; of {control.forms} planted, {len(control.hits)} found",
    )
    left = search(folder, ["X-Amz-Signature"])
    records = stage.pair.deployment.audit.read_text().splitlines()
    stage.evidence.add(
        "no signed URL either, and a record of each in the audit log",
        not left.hits and len(records) > len(stage.digests),
        f"{len(left.hits)} signatures; {len(records)} audit records",
    )


def _contact_sheet(stage: Stage, out: Path) -> None:
    stage.say("All images on one page, from bytes that signed URLs gave.")
    answers = stage.fetch_all()
    keys = {image.name: image.key for image in stage.desk.images("photos")}
    pictures = {keys[name]: a.body for name, a in answers.items() if a.status == 200}
    path = out / "contact-sheet.png"
    count = sheet.compose(pictures, path)
    wanted = min(len(stage.digests), sheet.MOST)
    stage.evidence.add(
        "a contact sheet of all images",
        count == wanted and path.stat().st_size > 0,
        f"{count} of {wanted} images, {path.stat().st_size // 1024} KB",
    )
    stage.console.print(f"  {path.resolve()}", soft_wrap=True, markup=False, highlight=False)
