"""Every RPC does what the contract says when it is asked properly."""

from datetime import UTC, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sealmount.signer.v1 import resources_pb2

from signer.transport.access import RULES
from tests.fakes.signer_requests import (
    ACCESS_KEY_ID,
    ORIGIN,
    SECRET,
    at,
    binding,
    managed,
    mounted,
    place,
    rule,
    seconds,
    sign,
    store,
)
from tests.fakes.signer_rig import METHODS, Rig, Running

MAIN, PHOTOS = "projects/acme/credentials/main", "projects/acme/bindings/photos"
Credential, Revision = resources_pb2.Credential, resources_pb2.BindingRevision


def test_the_table_has_all_there_is() -> None:
    assert len(RULES) == len(METHODS) == 18


async def test_a_credential_comes_back_as_metadata_alone(signer: Running, rig: Rig) -> None:
    expiry = rig.clock.now() + timedelta(days=3)
    made = await signer.acme.ok(
        "StoreCredential", store(expire_time=at(expiry), rules=[rule(prefix="raw/")])
    )
    assert (made.name, made.kind) == (MAIN, Credential.KIND_AWS_ACCESS_KEY)
    assert (made.state, made.principal_hint) == (Credential.STATE_ENABLED, "AKIA…MPLE")
    assert made.expire_time.ToDatetime(UTC) == expiry
    assert made.create_time.ToDatetime(UTC) == rig.clock.now()
    assert [r.prefix for r in made.scope.rules] == ["raw/"]
    assert not made.HasField("drain_time")
    assert await signer.acme.ok("DescribeCredential", name=MAIN) == made
    listed = await signer.acme.ok("ListCredentials", parent="projects/acme")
    assert list(listed.credentials) == [made]
    for secret in (SECRET, ACCESS_KEY_ID):
        assert secret.encode() not in made.SerializeToString()


async def test_a_binding_is_created_and_read(signer: Running) -> None:
    made = await mounted(signer.acme)
    assert (made.name, made.active.name) == (PHOTOS, f"{PHOTOS}/revisions/1")
    assert made.active.credential == MAIN
    assert made.active.location == place()
    assert (made.active.state, made.active.location_epoch) == (Revision.STATE_ACTIVE, 1)
    assert (made.max_url_lifetime, made.stable_window) == (seconds(3600), seconds(900))
    assert await signer.acme.ok("GetBinding", name=PHOTOS) == made
    listed = await signer.acme.ok("ListBindings", parent="projects/acme")
    assert list(listed.bindings) == [made]
    described = await signer.acme.ok("DescribeCredential", name=MAIN)
    assert list(described.bindings) == [PHOTOS]


async def test_pages_lead_through_the_list(signer: Running) -> None:
    names = [f"c{n}" for n in range(7)]
    for name in names:
        await signer.acme.ok("StoreCredential", store(credential_id=name))
    found, token = [], ""
    for _ in range(4):
        page = await signer.acme.ok(
            "ListCredentials", parent="projects/acme", page_size=2, page_token=token
        )
        found += [credential.name.rpartition("/")[2] for credential in page.credentials]
        token = page.next_page_token
    assert (found, token) == (names, "")


async def test_a_url_is_signed_with_its_terms(signer: Running, rig: Rig) -> None:
    await mounted(signer.acme, stable_window=0)
    signed = await signer.acme.ok("SignObjectUrl", sign("a b/ü?.jpg", ttl=60))
    url = urlsplit(signed.url)
    assert f"{url.scheme}://{url.netloc}" == ORIGIN
    assert url.path == "/photos/a%20b/%C3%BC%3F.jpg"
    terms = signed.terms
    assert (terms.method, dict(terms.headers)) == ("GET", {})
    assert (terms.revision, terms.location_epoch) == (f"{PHOTOS}/revisions/1", 1)
    whole = rig.clock.now().replace(microsecond=0)
    assert terms.not_after.ToDatetime(UTC) == whole + timedelta(seconds=61)
    assert parse_qs(url.query)["X-Amz-Expires"] == ["61"]


async def test_a_batch_answers_in_order_and_a_bad_key_fails_by_itself(signer: Running) -> None:
    await mounted(signer.acme)
    keys = ["a.jpg", "../b.jpg", "c.jpg", "", "d\n.jpg", "x" * 1025]
    batch = await signer.acme.ok(
        "BatchSignObjectUrls", binding=PHOTOS, objects=[{"key": key} for key in keys]
    )
    kinds = [outcome.WhichOneof("outcome") for outcome in batch.outcomes]
    assert kinds == ["url", "error", "url", "error", "error", "error"]
    assert {o.error.reason for o in batch.outcomes if o.HasField("error")} == {"KEY_UNSIGNABLE"}
    one = await signer.acme.ok("SignObjectUrl", sign("c.jpg"))
    assert batch.outcomes[2].url == one.url
    assert batch.terms == one.terms


async def test_a_listing_url_is_of_exactly_one_page(signer: Running) -> None:
    await signer.acme.ok("StoreCredential", store())
    await signer.acme.ok("CreateBinding", binding(location=place(prefix="raw/")))
    signed = await signer.acme.ok(
        "SignListUrl",
        binding=PHOTOS,
        prefix="2026/",
        start_after="2026/a.jpg",
        continuation_token="t/+=",
        page_size=17,
    )
    asked = parse_qs(urlsplit(signed.url).query)
    assert asked["prefix"] == ["raw/2026/"]
    assert asked["start-after"] == ["raw/2026/a.jpg"]
    assert asked["continuation-token"] == ["t/+="]
    assert asked["max-keys"] == ["17"]
    assert (signed.location_prefix, signed.terms.method) == ("raw/", "GET")


async def test_an_object_is_created_and_deleted_on_managed_storage_alone(signer: Running) -> None:
    await managed(signer.acme)
    name = "projects/acme/bindings/managed"
    put = await signer.acme.ok("SignObjectUrl", sign("k", name, method="METHOD_PUT"))
    assert dict(put.terms.headers) == {"if-none-match": "*"}
    assert urlsplit(put.url).path == "/photos/acme/k"
    assert "if-none-match" in parse_qs(urlsplit(put.url).query)["X-Amz-SignedHeaders"][0]
    gone = await signer.acme.ok("SignObjectUrl", sign("k", name, method="METHOD_DELETE"))
    assert gone.terms.method == "DELETE"


async def test_the_kill_switch_and_back(signer: Running, rig: Rig) -> None:
    await mounted(signer.acme)
    off = await signer.acme.ok("DisableCredential", name=MAIN)
    assert off.state == Credential.STATE_DISABLED
    # Until then URLs may work that were signed a moment before.
    assert off.drain_time.ToDatetime(UTC) == rig.clock.now() + timedelta(seconds=3601)
    answer = await signer.acme.refused("SignObjectUrl", sign())
    assert (answer.reason, answer.metadata) == ("CREDENTIAL_DISABLED", {"credential": MAIN})
    assert await signer.acme.ok("DisableCredential", name=MAIN) == off
    on = await signer.acme.ok("EnableCredential", name=MAIN)
    assert on.state == Credential.STATE_ENABLED
    assert not on.HasField("drain_time")
    assert (await signer.acme.ok("SignObjectUrl", sign())).url


async def test_a_credential_is_destroyed_once_nothing_uses_it(signer: Running, rig: Rig) -> None:
    made = await mounted(signer.acme)
    answer = await signer.acme.refused("DestroyCredential", name=MAIN)
    assert answer.reason == "CREDENTIAL_IN_USE"
    assert answer.metadata == {"bindings": PHOTOS, "count": "1"}
    await signer.acme.ok("DeleteBinding", name=PHOTOS, etag=made.etag)
    gone = await signer.acme.ok("DestroyCredential", name=MAIN)
    assert gone.state == Credential.STATE_DESTROYED
    assert gone.drain_time.ToDatetime(UTC) == rig.clock.now() + timedelta(seconds=3601)
    assert await signer.acme.ok("DestroyCredential", name=MAIN) == gone
    for method in ("EnableCredential", "DisableCredential"):
        assert (await signer.acme.refused(method, name=MAIN)).reason == "CREDENTIAL_DESTROYED"
    listed = await signer.acme.ok("ListCredentials", parent="projects/acme")
    assert [found.state for found in listed.credentials] == [Credential.STATE_DESTROYED]
    assert (await signer.acme.refused("StoreCredential", store())).reason == (
        "CREDENTIAL_ALREADY_EXISTS"
    )


async def test_a_deleted_bindings_name_comes_back_under_another_uid(signer: Running) -> None:
    first = await mounted(signer.acme)
    await signer.acme.ok("DeleteBinding", name=PHOTOS)
    for method, fields in _of_a_binding().items():
        assert (await signer.acme.refused(method, **fields)).reason == "RESOURCE_NOT_FOUND"
    second = await signer.acme.ok("CreateBinding", binding())
    assert second.uid != first.uid
    assert second.etag != first.etag
    revisions = await signer.acme.ok("ListBindingRevisions", parent=PHOTOS)
    assert [revision.name for revision in revisions.revisions] == [f"{PHOTOS}/revisions/1"]


def _of_a_binding() -> dict[str, dict[str, Any]]:
    return {
        "GetBinding": {"name": PHOTOS},
        "DeleteBinding": {"name": PHOTOS},
        "ListBindingRevisions": {"parent": PHOTOS},
        "SignObjectUrl": {"binding": PHOTOS, "object": {"key": "k"}},
        "SignListUrl": {"binding": PHOTOS},
        "HoldBinding": {"name": PHOTOS, "holder": "projects/acme/buckets/b"},
    }


async def test_holders_keep_a_binding_from_being_deleted(signer: Running) -> None:
    made = await mounted(signer.acme)
    holders = [f"projects/acme/buckets/{name}" for name in ("b", "a")]
    for holder in [*holders, holders[0]]:
        held = await signer.acme.ok("HoldBinding", name=PHOTOS, holder=holder)
    assert list(held.holders) == sorted(holders)
    assert held.etag == made.etag
    answer = await signer.acme.refused("DeleteBinding", name=PHOTOS)
    assert answer.reason == "BINDING_HELD"
    assert answer.metadata == {"holders": ",".join(sorted(holders)), "count": "2"}
    for holder in [*holders, holders[0], "projects/acme/buckets/never"]:
        held = await signer.acme.ok("ReleaseBinding", name=PHOTOS, holder=holder)
    assert list(held.holders) == []
    await signer.acme.ok("DeleteBinding", name=PHOTOS)
