"""Moving a binding: revisions, epochs, etags, going back, and asking twice."""

import uuid
from datetime import UTC, timedelta
from typing import Any

import pytest
from sealmount.signer.v1 import resources_pb2

from tests.fakes.signer_requests import material, mounted, place, rule, sign, store
from tests.fakes.signer_rig import Rig, Running

PHOTOS = "projects/acme/bindings/photos"
MAIN, NEW = "projects/acme/credentials/main", "projects/acme/credentials/new"
ELSEWHERE = "https://elsewhere.example.com"
Revision = resources_pb2.BindingRevision


async def two(signer: Running) -> Any:
    """The binding on "main", and "new" to rotate to, which may serve elsewhere, too."""
    made = await mounted(signer.acme)
    rules = [rule(), rule(origin=ELSEWHERE)]
    wanted = store(credential_id="new", rules=rules, plain=material("AKIANEWNEWNEWNEWNEW0"))
    await signer.acme.ok("StoreCredential", wanted)
    return made


async def rotate(signer: Running, bound: Any, credential: str = NEW, **fields: Any) -> Any:
    return await signer.acme.ok(
        "RotateBinding", name=PHOTOS, credential=credential, etag=bound.etag, **fields
    )


async def test_a_rotation_is_a_new_revision(signer: Running, rig: Rig) -> None:
    made = await two(signer)
    old = await signer.acme.ok("SignObjectUrl", sign())
    rotated = await rotate(signer, made)
    assert (rotated.active.name, rotated.active.credential) == (f"{PHOTOS}/revisions/2", NEW)
    assert rotated.active.location_epoch == 1
    assert rotated.etag != made.etag
    new = await signer.acme.ok("SignObjectUrl", sign())
    assert ("IOSFODNN7" in old.url, "AKIANEW" in new.url) == (True, True)
    assert new.terms.revision == f"{PHOTOS}/revisions/2"
    history = (await signer.acme.ok("ListBindingRevisions", parent=PHOTOS)).revisions
    assert [r.state for r in history] == [Revision.STATE_ACTIVE, Revision.STATE_SUPERSEDED]
    now = rig.clock.now()
    assert history[1].supersede_time.ToDatetime(UTC) == now
    assert history[1].drain_time.ToDatetime(UTC) == now + timedelta(seconds=1 + 3600)
    assert old.terms.not_after.ToDatetime(UTC) <= history[1].drain_time.ToDatetime(UTC)
    drained = await signer.acme.ok("DescribeCredential", name=MAIN)
    assert (list(drained.bindings), drained.drain_time) == ([], history[1].drain_time)


async def test_an_old_etag_is_refused(signer: Running) -> None:
    made = await two(signer)
    rotated = await rotate(signer, made)
    for method, fields in (
        ("RotateBinding", {"credential": MAIN}),
        ("RollbackBinding", {}),
        ("DeleteBinding", {}),
    ):
        answer = await signer.acme.refused(method, name=PHOTOS, etag=made.etag, **fields)
        assert (answer.code.name, answer.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert await signer.acme.ok("GetBinding", name=PHOTOS) == rotated


async def test_a_rotation_without_an_etag_is_refused(signer: Running) -> None:
    await two(signer)
    for method, fields in (("RotateBinding", {"credential": NEW}), ("RollbackBinding", {})):
        answer = await signer.acme.refused(method, name=PHOTOS, **fields)
        assert (answer.reason, answer.fields) == ("INVALID_FIELD", ["etag"])


async def test_a_move_grows_the_epoch_and_drops_versions_of_another(signer: Running) -> None:
    made = await two(signer)
    moved = await rotate(signer, made, location=place(endpoint=ELSEWHERE))
    assert moved.active.location_epoch == 2
    signed = await signer.acme.ok("SignObjectUrl", sign(version="v1", version_epoch=1))
    assert signed.url.startswith(ELSEWHERE)
    assert "versionId" not in signed.url
    assert signed.terms.location_epoch == 2
    for epoch in (2, 0):
        kept = await signer.acme.ok("SignObjectUrl", sign(version="v1", version_epoch=epoch))
        assert "versionId=v1" in kept.url
    # Back where it was is another epoch still: what happened in between, nobody knows.
    back = await signer.acme.ok("RollbackBinding", name=PHOTOS, etag=moved.etag)
    assert back.active.location == made.active.location
    assert back.active.location_epoch == 3


async def test_going_back_makes_a_new_revision(signer: Running) -> None:
    made = await two(signer)
    rotated = await rotate(signer, made)
    back = await signer.acme.ok("RollbackBinding", name=PHOTOS, etag=rotated.etag)
    assert (back.active.name, back.active.credential) == (f"{PHOTOS}/revisions/3", MAIN)
    again = await signer.acme.ok(
        "RollbackBinding", name=PHOTOS, etag=back.etag, revision=f"{PHOTOS}/revisions/2"
    )
    assert (again.active.name, again.active.credential) == (f"{PHOTOS}/revisions/4", NEW)
    history = (await signer.acme.ok("ListBindingRevisions", parent=PHOTOS)).revisions
    assert [r.credential for r in history] == [NEW, MAIN, NEW, MAIN]
    first = await signer.acme.ok("ListBindingRevisions", parent=PHOTOS, page_size=3)
    rest = await signer.acme.ok(
        "ListBindingRevisions", parent=PHOTOS, page_token=first.next_page_token
    )
    assert [*first.revisions, *rest.revisions] == list(history)


@pytest.mark.parametrize("number", ["0", "1", "2", "99", "x", "-1"])
async def test_there_is_nothing_to_go_back_to(signer: Running, number: str) -> None:
    made = await mounted(signer.acme)
    for revision in ("", f"{PHOTOS}/revisions/{number}", "projects/acme/bindings/b/revisions/1"):
        answer = await signer.acme.refused(
            "RollbackBinding", name=PHOTOS, etag=made.etag, revision=revision
        )
        assert (answer.reason, answer.fields) == ("INVALID_FIELD", ["revision"])


async def test_going_back_to_what_is_not_good_any_more(signer: Running) -> None:
    rotated = await rotate(signer, await two(signer))
    await signer.acme.ok("DisableCredential", name=MAIN)
    answer = await signer.acme.refused("RollbackBinding", name=PHOTOS, etag=rotated.etag)
    assert answer.reason == "CREDENTIAL_DISABLED"
    await signer.acme.ok("DestroyCredential", name=MAIN)
    answer = await signer.acme.refused("RollbackBinding", name=PHOTOS, etag=rotated.etag)
    assert answer.reason == "CREDENTIAL_DESTROYED"


class TestAskingTwice:
    async def test_storing(self, signer: Running, rig: Rig) -> None:
        once = {"request_id": str(uuid.uuid4())}
        made = await signer.acme.ok("StoreCredential", store(**once))
        rig.clock.advance(hours=23)
        assert await signer.acme.ok("StoreCredential", store(**once)) == made
        other = store(**once, plain=material(secret="another-secret"))
        answer = await signer.acme.refused("StoreCredential", other)
        assert (answer.code.name, answer.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        # Another caller's id is another request, and so is another day's.
        answer = await signer.writer.refused("StoreCredential", store(**once))
        assert answer.reason == "CREDENTIAL_ALREADY_EXISTS"
        rig.clock.advance(hours=1, seconds=1)
        answer = await signer.acme.refused("StoreCredential", store(**once))
        assert answer.reason == "CREDENTIAL_ALREADY_EXISTS"

    async def test_storing_after_it_was_destroyed(self, signer: Running) -> None:
        once = {"request_id": str(uuid.uuid4())}
        await signer.acme.ok("StoreCredential", store(**once))
        gone = await signer.acme.ok("DestroyCredential", name=MAIN)
        assert await signer.acme.ok("StoreCredential", store(**once)) == gone
        assert gone.state == resources_pb2.Credential.STATE_DESTROYED

    async def test_another_tenant_with_the_same_id(self, signer: Running) -> None:
        once = {"request_id": str(uuid.uuid4())}
        await signer.acme.ok("StoreCredential", store(**once))
        made = await signer.beta.ok("StoreCredential", store("beta", **once))
        assert made.name == "projects/beta/credentials/main"

    async def test_rotating(self, signer: Running) -> None:
        made = await two(signer)
        once = {"request_id": str(uuid.uuid4())}
        rotated = await rotate(signer, made, **once)
        assert await rotate(signer, made, **once) == rotated
        answer = await signer.acme.refused(
            "RotateBinding", name=PHOTOS, credential=MAIN, etag=made.etag, **once
        )
        assert answer.reason == "REQUEST_ID_REUSED"
        answer = await signer.operator.refused(
            "RotateBinding", name=PHOTOS, credential=NEW, etag=made.etag, **once
        )
        assert answer.reason == "ETAG_MISMATCH"
        history = await signer.acme.ok("ListBindingRevisions", parent=PHOTOS)
        assert len(history.revisions) == 2

    async def test_what_failed_may_be_asked_again(self, signer: Running) -> None:
        made = await two(signer)
        once = {"request_id": str(uuid.uuid4())}
        await signer.acme.ok("DisableCredential", name=NEW)
        fields = {"name": PHOTOS, "credential": NEW, "etag": made.etag, **once}
        assert (await signer.acme.refused("RotateBinding", **fields)).reason == (
            "CREDENTIAL_DISABLED"
        )
        await signer.acme.ok("EnableCredential", name=NEW)
        assert (await signer.acme.ok("RotateBinding", **fields)).active.credential == NEW
