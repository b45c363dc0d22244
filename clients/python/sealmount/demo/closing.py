"""Last scene: what was left behind, in every file; and all images on one page."""

import json
from pathlib import Path

from sealmount.demo import sheet
from sealmount.demo.stage import Stage
from sealmount.demo.traces import forms, search


def play(stage: Stage, out: Path) -> None:
    _search(stage)
    _audit(stage)
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
    stage.evidence.add(
        "no signed URL in any of them either",
        not left.hits and left.files == found.files,
        f"{len(left.hits)} signatures in {left.bytes // 1024:,} KB",
    )


def _audit(stage: Stage) -> None:
    stage.say("The audit log is verified: each record carries the code of the one before it.")
    deployment = stage.pair.deployment
    records = [json.loads(line) for line in deployment.audit.read_text().splitlines()]
    recorded = {key for record in records for key in record.get("keys", ())}
    whole, said = deployment.verify_audit()
    stage.evidence.add(
        "the audit log is whole, and names every object that was signed for",
        whole and recorded.issuperset(stage.keys),
        f"{len(recorded & set(stage.keys))} of {len(stage.keys)} keys; {said}",
    )


def _contact_sheet(stage: Stage, out: Path) -> None:
    stage.say("All images on one page, from bytes that signed URLs gave.")
    answers = stage.fetch_all()
    keys = {image.name: image.key for image in stage.desk.images("photos")}
    pictures = {keys[name]: a.body for name, a in answers.items() if a.status == 200}
    path = out / "contact-sheet.png"
    count = sheet.compose(pictures, path)
    files = [(stage.first.objects / key).read_bytes() for key in sorted(stage.keys)[: sheet.MOST]]
    wanted = sum(map(sheet.readable, files))
    stage.evidence.add(
        "a contact sheet of all images",
        count == wanted > 0 and path.stat().st_size > 0,
        f"{count} of {wanted} images, {path.stat().st_size // 1024} KB",
    )
    stage.console.print(f"  {path.resolve()}", soft_wrap=True, markup=False, highlight=False)
