"""Second scene: keys and even the store change while somebody reads, who notices nothing."""

import time
from collections import Counter

from sealmount.demo.desk import s3
from sealmount.demo.reader import Look, Reader
from sealmount.demo.stage import MOUNT, Stage

_SEEN_ENOUGH = 24


def play(stage: Stage, reader: Reader) -> None:
    _rotate(stage, reader)
    _move(stage, reader)
    _back_and_forth(stage, reader)


def _rotate(stage: Stage, reader: Reader) -> None:
    stage.say("Somebody reads all the time. Now the binding rotates to the second key.")
    before = reader.wait_for(_SEEN_ENOUGH, 0.0)
    stage.desk.store("photos-new", stage.new, [stage.first.origin])
    stage.desk.rotate(MOUNT, "photos-new")
    returned = time.monotonic()
    after = reader.wait_for(_SEEN_ENOUGH, returned)
    with_old = _signed_with(after, stage.old.access_key_id)
    with_new = _signed_with(after, stage.new.access_key_id)
    stage.evidence.add(
        "after the rotation returned, no URL is from the old key",
        with_old == 0 and with_new == len(after) >= _SEEN_ENOUGH
        and _signed_with(before, stage.old.access_key_id) == len(before) > 0,
        f"{len(before)} URLs from the old key before; after: {with_old} old, {with_new} new",
    )  # fmt: skip


def _move(stage: Stage, reader: Reader) -> None:
    stage.say(
        "The customer moves to another store. The mount follows; the images keep their names."
    )
    names = {image.name: image.key for image in stage.desk.images(MOUNT)}
    stage.desk.store("photos-moved", stage.other, [stage.second.origin])
    stage.desk.rotate(MOUNT, "photos-moved", s3(stage.second.origin))
    returned = time.monotonic()
    looks = reader.wait_for(_SEEN_ENOUGH, returned)
    places = Counter(look.origin for look in looks)
    stage.evidence.add(
        "after the move, every URL leads to the new store",
        set(places) == {stage.second.origin} and len(looks) >= _SEEN_ENOUGH,
        f"{places[stage.second.origin]} to the new one, {places[stage.first.origin]} to the old",
    )
    answers = stage.fetch_all()
    same = {image.name: image.key for image in stage.desk.images(MOUNT)} == names
    stage.evidence.add(
        "same image names, same bytes, from another store",
        same and stage.intact(answers) == len(stage.digests) > 0,
        f"{len(names)} names {'unchanged' if same else 'CHANGED'}, "
        f"{stage.intact(answers)} of {len(stage.digests)} with the right SHA-256",
    )


def _back_and_forth(stage: Stage, reader: Reader) -> None:
    stage.say("Was that a mistake? Back to the first store, and forth again.")
    back = stage.desk.roll_back(MOUNT)
    there = reader.wait_for(_SEEN_ENOUGH, time.monotonic())
    forth = stage.desk.roll_back(MOUNT)
    again = reader.wait_for(_SEEN_ENOUGH, time.monotonic())
    revisions = [name.active.name.rpartition("/")[2] for name in (back, forth)]
    stage.evidence.add(
        "rolled back and forth, each time at once and for good",
        {look.origin for look in there} == {stage.first.origin}
        and {look.origin for look in again} == {stage.second.origin}
        and int(revisions[0]) < int(revisions[1]),
        f"{len(there)} URLs to the first store, then {len(again)} to the second; "
        f"revisions {revisions[0]} and {revisions[1]}",
    )


def _signed_with(looks: list[Look], access_key_id: str) -> int:
    return sum(look.access_key_id == access_key_id for look in looks)
