"""First scene: a key goes in, a bucket is mounted, its images come into the Catalog."""

import time

from google.rpc import code_pb2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sealmount.catalog.v1 import resources_pb2 as catalog
from sealmount.catalog.v1 import service_pb2 as mounting
from sealmount.commands.processes import within
from sealmount.demo.desk import s3
from sealmount.demo.stage import MOUNT, Stage

_PROBE = "archive"
_SHOWN = 3
_IMPORT_SECONDS = 120.0


def play(stage: Stage) -> None:
    _store_and_mount(stage)
    _import(stage)
    _look(stage)


def _store_and_mount(stage: Stage) -> None:
    stage.say("A key of the customer's store goes into the Signer. No call brings it out again.")
    desk = stage.desk
    stored = desk.store("photos-old", stage.old, [stage.first.origin])
    shown = desk.describe("photos-old")
    secret = stage.old.secret_access_key.encode()
    answers = [answer.SerializeToString() for answer in (stored, shown)]
    stage.evidence.add(
        "what is told of a credential is metadata",
        not any(secret in answer for answer in answers) and bool(shown.principal_hint),
        f"principal {shown.principal_hint}, {len(shown.scope.rules)} scope rule, no secret",
    )
    desk.bind(MOUNT, "photos-old", s3(stage.first.origin))
    # A second binding with the same key shows later what becomes of a key that nobody replaced.
    desk.bind(_PROBE, "photos-old", s3(stage.first.origin))
    desk.mount(MOUNT, MOUNT)


def _import(stage: Stage) -> None:
    stage.say("The Catalog lists the bucket and looks into each image, through signed URLs only.")
    name = stage.desk.start_import(MOUNT)
    begun = time.monotonic()
    result = _follow(stage, name)
    seconds = time.monotonic() - begun
    images = stage.desk.images(MOUNT)
    stage.expect(images)
    missing = set(stage.keys) - {image.key for image in images}
    stage.evidence.add(
        "every object of the bucket is an image of the mount",
        not missing and len(images) == len(stage.keys) == result.created,
        f"{len(images)} of {len(stage.keys)} in {seconds:.1f} s, {len(missing)} missing",
    )
    states = catalog.ImageInfo
    probed = [i for i in images if i.info.state == states.STATE_PROBED and i.info.width]
    others = [i for i in images if i.info.state == states.STATE_NOT_AN_IMAGE]
    kinds = sorted({image.info.media_type for image in probed})
    turned = sum(image.info.orientation > 1 for image in probed)
    stage.evidence.add(
        "their headers were read through signed URLs",
        bool(probed) and len(probed) + len(others) == len(images) and not result.failed,
        f"{len(probed)} images ({', '.join(kinds)}), {turned} turned by EXIF"
        + (f"; {len(others)} that are no image" if others else ""),
    )


def _follow(stage: Stage, name: str) -> mounting.ImportImagesResponse:
    """Shows the operation's progress until it is done. RuntimeError when it failed."""
    columns = (TextColumn("  {task.description:8}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=stage.console) as progress:
        listing = progress.add_task("listing", total=len(stage.keys))
        probing = progress.add_task("probing", total=len(stage.keys))
        for _ in within(_IMPORT_SECONDS, "the import"):
            operation = stage.desk.operation(name)
            metadata = mounting.ImportImagesMetadata()
            operation.metadata.Unpack(metadata)
            progress.update(listing, completed=metadata.progress.listed)
            total = metadata.probe_total or len(stage.keys)
            progress.update(probing, completed=metadata.progress.probed, total=total)
            stage.pair.check()
            if operation.done:
                break
    if operation.error.code:
        code = code_pb2.Code.Name(operation.error.code)
        raise RuntimeError(f"the import failed: {code} {operation.error.message}")
    result = mounting.ImportImagesResponse()
    operation.response.Unpack(result)
    return result


def _look(stage: Stage) -> None:
    stage.say("Anybody with a URL can look: a plain HTTP client fetches them all.")
    answers = stage.fetch_all()
    stage.evidence.add(
        "each URL gives the very bytes of its object",
        stage.intact(answers) == len(stage.digests) > 0,
        f"{stage.intact(answers)} of {len(stage.digests)} with the right SHA-256",
    )
    names = list(stage.digests)[:_SHOWN]
    for outcome in stage.desk.urls(MOUNT, names):
        stage.console.print(outcome.url, soft_wrap=True, markup=False, highlight=False)
    # Two asks can lie on either side of a window's end; three in a row can't all.
    pairs = [[o.url for o in stage.desk.urls(MOUNT, names)] for _ in range(3)]
    stage.evidence.add(
        "asked again, it is the same URL, so that caches work",
        pairs[0] == pairs[1] or pairs[1] == pairs[2],
        f"{len(pairs[1])} images asked for {len(pairs)} times",
    )
