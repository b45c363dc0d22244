"""Third scene: the old key dies, at the store and in the Signer; and a store goes away."""

from sealmount.demo.fetching import Answer, fetch
from sealmount.demo.reader import Reader
from sealmount.demo.stage import Stage, reason, refusal

# The binding that mounting.py leaves on the old key.
_LEFT_BEHIND = "archive"


def play(stage: Stage, reader: Reader) -> None:
    _revoke_at_the_store(stage)
    _end_in_the_signer(stage)
    reader.stop()
    stage.evidence.add(
        "through all this, not one request of the reader failed",
        not reader.failures and len(reader.looks()) > 0,
        f"{len(reader.looks())} images read, {len(reader.failures)} failures"
        + "".join(f"; {failure}" for failure in reader.failures[:3]),
    )
    _lose_the_store(stage)


def _revoke_at_the_store(stage: Stage) -> None:
    stage.say("The customer revokes the old key at the first store.")
    key = stage.keys[0]
    url = stage.desk.sign(_LEFT_BEHIND, key)
    before = fetch(url)
    stage.first.restart([stage.new])
    after = fetch(url)
    stage.evidence.add(
        "a URL from the revoked key is refused by the store",
        before.status == 200 and after.status == 403,
        f"HTTP {before.status} before, HTTP {after.status} after",
    )


def _end_in_the_signer(stage: Stage) -> None:
    stage.say("The Signer stops signing with it, and then shreds it.")
    desk, key = stage.desk, stage.keys[0]
    desk.disable("photos-old")
    disabled = reason(refusal(lambda: desk.sign(_LEFT_BEHIND, key)))
    stage.evidence.add(
        "nothing is signed with a disabled credential",
        disabled == "CREDENTIAL_DISABLED",
        f"refused with {disabled}",
    )
    in_use = reason(refusal(lambda: desk.destroy("photos-old")))
    desk.rotate(_LEFT_BEHIND, "photos-new")
    desk.destroy("photos-old")
    destroyed = reason(refusal(lambda: desk.roll_back(_LEFT_BEHIND)))
    rescued = fetch(desk.sign(_LEFT_BEHIND, key))
    stage.evidence.add(
        "a credential is shredded only once nothing uses it, and then for good",
        in_use == "CREDENTIAL_IN_USE" and destroyed == "CREDENTIAL_DESTROYED",
        f"first {in_use}, after the rotation {destroyed}",
    )
    stage.evidence.add(
        "what was rotated off the dead key works",
        rescued.status == 200,
        f"HTTP {rescued.status} with the new key",
    )


def _lose_the_store(stage: Stage) -> None:
    stage.say("The store goes away, and comes back.")
    name = next(iter(stage.digests))
    stage.second.stop()
    gone = reason(refusal(lambda: stage.desk.url(name, check_object=True)))
    stage.evidence.add(
        "a store that is gone is a reason, not a broken picture",
        gone == "STORE_UNREACHABLE",
        f"refused with {gone}",
    )
    stage.second.start()
    back: Answer = fetch(stage.desk.url(name, check_object=True))
    stage.evidence.add(
        "when it is back, so are the images",
        back.status == 200 and back.digest == stage.digests[name],
        f"HTTP {back.status} with the right bytes",
    )
