"""Signing: what may be asked for, how long it lives, and when the same URL comes back."""

import json
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.signer_requests import (
    DELETE,
    LIST,
    MANAGED,
    READ,
    WRITE,
    at,
    binding,
    managed,
    material,
    mounted,
    place,
    rule,
    seconds,
    sign,
    store,
)
from tests.fakes.signer_rig import Rig, Running

PHOTOS, OWN = "projects/acme/bindings/photos", "projects/acme/bindings/managed"
HOSTILE = Path(__file__).parents[2] / "conformance" / "hostile_keys.json"

ASKED: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "method": ({"method": 9}, "INVALID_FIELD", ["options.method"]),
    "audience": ({"audience": 9}, "INVALID_FIELD", ["options.audience"]),
    "disposition": ({"disposition": 9}, "INVALID_FIELD", ["options.disposition"]),
    "no time": ({"ttl": 0}, "INVALID_FIELD", ["options.ttl"]),
    "before now": ({"ttl": -60}, "INVALID_FIELD", ["options.ttl"]),
    "half a second": ({"ttl": 1.5}, "INVALID_FIELD", ["options.ttl"]),
    "nanoseconds": ({"ttl": 1.000000001}, "INVALID_FIELD", ["options.ttl"]),
    "millennia": ({"ttl": 1e12}, "INVALID_FIELD", ["options.ttl"]),
    "beyond the cap": ({"ttl": 3601}, "LIFETIME_EXCEEDED", []),
    "ttl and window": ({"ttl": 2701}, "LIFETIME_EXCEEDED", []),
    "html": ({"response_content_type": "text/html"}, "RESPONSE_TYPE_NOT_ALLOWED", []),
    "svg in place": (
        {"response_content_type": "image/svg+xml", "disposition": "DISPOSITION_INLINE"},
        "RESPONSE_TYPE_NOT_ALLOWED",
        [],
    ),
    "unnamed in place": ({"disposition": 1}, "RESPONSE_TYPE_NOT_ALLOWED", []),
    "type of two lines": (
        {"response_content_type": "image/png\r\nX: y"},
        "RESPONSE_TYPE_NOT_ALLOWED",
        [],
    ),
    "cache control of two lines": (
        {"response_cache_control": "private\r\nSet-Cookie: x"},
        "INVALID_FIELD",
        ["options.response_cache_control"],
    ),
    "on behalf of two lines": ({"on_behalf_of": "a\nb"}, "INVALID_FIELD", ["on_behalf_of"]),
    "on behalf of a crowd": ({"on_behalf_of": "a" * 257}, "INVALID_FIELD", ["on_behalf_of"]),
    "no key": ({"key": ""}, "KEY_UNSIGNABLE", []),
    "version of two lines": ({"version": "a\nb"}, "KEY_UNSIGNABLE", []),
    "put on a customer": ({"method": "METHOD_PUT"}, "METHOD_NOT_PERMITTED", []),
    "delete on a customer": ({"method": "METHOD_DELETE"}, "METHOD_NOT_PERMITTED", []),
}


async def test_what_is_not_signed(signer: Running) -> None:
    await mounted(signer.acme)
    for what, (changes, reason, fields) in ASKED.items():
        answer = await signer.acme.refused("SignObjectUrl", sign(**changes))
        assert (answer.reason, answer.fields) == (reason, fields), what
    cap = await signer.acme.refused("SignObjectUrl", sign(ttl=2701))
    assert cap.metadata == {"max_ttl_seconds": "2700"}
    assert (await signer.acme.ok("SignObjectUrl", sign(ttl=2700))).url


async def test_a_listing_that_is_not_signed(signer: Running) -> None:
    await mounted(signer.acme)
    for name, value in (
        ("prefix", "a\n"),
        ("prefix", "p" * 1025),
        ("start_after", "\x7f"),
        ("continuation_token", "t" * 4097),
        ("page_size", 1001),
        ("page_size", -1),
    ):
        answer = await signer.acme.refused("SignListUrl", binding=PHOTOS, **{name: value})
        assert (answer.reason, answer.fields) == ("INVALID_FIELD", [name])


async def test_a_batch_has_at_most_a_thousand(signer: Running) -> None:
    await mounted(signer.acme)
    objects = [{"key": f"{n}.jpg"} for n in range(1001)]
    answer = await signer.acme.refused("BatchSignObjectUrls", binding=PHOTOS, objects=objects)
    assert (answer.reason, answer.metadata) == ("BATCH_TOO_LARGE", {"limit": "1000"})
    answer = await signer.acme.refused("BatchSignObjectUrls", binding=PHOTOS)
    assert (answer.reason, answer.fields) == ("INVALID_FIELD", ["objects"])
    batch = await signer.acme.ok("BatchSignObjectUrls", binding=PHOTOS, objects=objects[:1000])
    assert len({outcome.url for outcome in batch.outcomes}) == 1000


async def test_hostile_keys_are_signed_as_they_are_or_not_at_all(signer: Running) -> None:
    """Threats 13 to 16: nothing moves the host, climbs out of the prefix or is rewritten."""
    await signer.acme.ok("StoreCredential", store(rules=[rule(READ, prefix="raw/")]))
    request = binding(location=place(prefix="raw/"), permissions=(READ,))
    await signer.acme.ok("CreateBinding", request)
    cases = [c for c in json.loads(HOSTILE.read_text()) if "\ud800" not in c["key"]]
    batch = await signer.acme.ok(
        "BatchSignObjectUrls", binding=PHOTOS, objects=[{"key": c["key"]} for c in cases]
    )
    signed = 0
    for case, outcome in zip(cases, batch.outcomes, strict=True):
        if outcome.HasField("error"):
            assert outcome.error.reason == "KEY_UNSIGNABLE"
            continue
        signed += 1
        url = urlsplit(outcome.url)
        assert (url.scheme, url.netloc, url.fragment) == ("https", "minio.example.com", "")
        assert unquote(url.path) == f"/photos/raw/{case['key']}"
        assert not {".", ".."} & set(url.path.split("/"))
    assert 10 < signed < len(cases)


async def test_who_may_write_is_the_catalog_on_managed_storage(signer: Running) -> None:
    await managed(signer.acme)
    await signer.acme.ok("CreateBinding", binding(credential="projects/acme/credentials/platform"))
    for method in ("METHOD_PUT", "METHOD_DELETE"):
        wanted = sign("k", OWN, method=method)
        assert (await signer.catalog.ok("SignObjectUrl", wanted)).url
        denied = await signer.reader.refused("SignObjectUrl", wanted)
        assert denied.reason == "METHOD_NOT_PERMITTED"
        for client in (signer.catalog, signer.reader):
            answer = await client.refused("SignObjectUrl", sign("k", method=method))
            assert answer.reason == "METHOD_NOT_PERMITTED"
    assert (await signer.reader.ok("SignObjectUrl", sign("k", OWN))).url
    answer = await signer.catalog.refused(
        "SignObjectUrl", sign("k", OWN, method="METHOD_PUT", version="v")
    )
    assert answer.reason == "KEY_UNSIGNABLE"


async def test_managed_storage_on_a_credential_of_the_platforms_project(signer: Running) -> None:
    every = (READ, LIST, WRITE, DELETE)
    scope = {"rules": [rule(*every)], "consumer_projects": ["acme"]}
    await signer.beta.ok("StoreCredential", store("beta", "platform", scope=scope))
    theirs = "projects/beta/credentials/platform"

    def own(binding_id: str, **changes: Any) -> Any:
        everything: dict[str, Any] = {
            "location": place(prefix="acme/"),
            "kind": MANAGED,
            "permissions": every,
        }
        return binding("acme", binding_id, credential=theirs, **(everything | changes))

    made = await signer.acme.ok("CreateBinding", own("managed"))
    assert made.active.credential == theirs
    assert (await signer.catalog.ok("SignObjectUrl", sign("k", OWN, method="METHOD_PUT"))).url
    for request in (
        own("photos", kind=1, permissions=(READ,)),  # a customer's binding may not
        binding("acme", "other", credential=theirs),
    ):
        assert (await signer.acme.refused("CreateBinding", request)).reason == "RESOURCE_NOT_FOUND"
    used = await signer.beta.ok("DescribeCredential", name=theirs)
    assert list(used.bindings) == [OWN]
    in_use = await signer.beta.refused("DestroyCredential", name=theirs)
    assert in_use.reason == "CREDENTIAL_IN_USE"


async def test_managed_storage_on_a_credential_that_does_not_name_the_project(
    signer: Running,
) -> None:
    scope = {"rules": [rule(READ)], "consumer_projects": ["gamma"]}
    await signer.beta.ok("StoreCredential", store("beta", "platform", scope=scope))
    request = binding(
        "acme",
        "managed",
        credential="projects/beta/credentials/platform",
        location=place(prefix="acme/"),
        kind=MANAGED,
        permissions=(READ,),
    )
    assert (await signer.acme.refused("CreateBinding", request)).reason == "RESOURCE_NOT_FOUND"


async def test_audiences_name_their_own_endpoint(signer: Running) -> None:
    public = "https://cdn.example.com"
    await signer.acme.ok("StoreCredential", store(rules=[rule(), rule(origin=public)]))
    await signer.acme.ok("CreateBinding", binding(location=place(public_endpoint=public)))
    outside = await signer.acme.ok("SignObjectUrl", sign())
    inside = await signer.acme.ok("SignObjectUrl", sign(audience="AUDIENCE_INTERNAL"))
    assert outside.url.startswith(public + "/")
    assert inside.url.startswith("https://minio.example.com/")


async def test_response_headers_are_under_the_signature(signer: Running) -> None:
    await mounted(signer.acme)
    signed = await signer.acme.ok(
        "SignObjectUrl",
        sign(response_content_type="image/png", response_cache_control="private, max-age=600"),
    )
    asked = parse_qs(urlsplit(signed.url).query)
    assert asked["response-content-type"] == ["image/png"]
    assert asked["response-content-disposition"] == ["inline"]
    assert asked["response-cache-control"] == ["private, max-age=600"]
    svg = await signer.acme.ok("SignObjectUrl", sign(response_content_type="image/svg+xml"))
    assert parse_qs(urlsplit(svg.url).query)["response-content-disposition"] == ["attachment"]


async def test_the_same_url_for_a_whole_window(signer: Running, rig: Rig) -> None:
    await mounted(signer.acme)
    first = await signer.acme.ok("SignObjectUrl", sign())
    left = first.terms.refresh_after.ToDatetime(UTC) - rig.clock.now()
    rig.clock.time += left - timedelta(microseconds=1)
    assert await signer.acme.ok("SignObjectUrl", sign()) == first
    rig.clock.time += timedelta(microseconds=1)
    later = await signer.acme.ok("SignObjectUrl", sign())
    assert later.url != first.url
    assert later.terms.not_after.seconds - first.terms.not_after.seconds == 900


async def test_a_signer_goes_on_over_midnight(signer: Running, rig: Rig) -> None:
    await mounted(signer.acme, stable_window=0)
    for _ in range(4):
        signed = await signer.acme.ok("SignObjectUrl", sign())
        day = rig.clock.now().strftime("%Y%m%d")
        assert parse_qs(urlsplit(signed.url).query)["X-Amz-Date"][0].startswith(day)
        rig.clock.advance(days=1)


class TestEnding:
    async def session(self, signer: Running, rig: Rig, minutes: float) -> None:
        end = at(rig.clock.now() + timedelta(minutes=minutes))
        plain = material(session_token="session/token+1")
        await signer.acme.ok("StoreCredential", store(plain=plain, expire_time=end))
        await signer.acme.ok("CreateBinding", binding(stable_window=seconds(600)))

    async def test_a_urls_end_is_never_after_the_sessions(self, signer: Running, rig: Rig) -> None:
        await self.session(signer, rig, 20)
        end = rig.clock.now() + timedelta(minutes=20)
        signed = await signer.acme.ok("SignObjectUrl", sign(ttl=1200))
        assert signed.terms.not_after.ToDatetime(UTC) == end
        assert signed.terms.refresh_after.ToDatetime(UTC) <= end
        asked = parse_qs(urlsplit(signed.url).query)
        assert asked["X-Amz-Security-Token"] == ["session/token+1"]

    async def test_a_url_that_would_die_early_is_refused(self, signer: Running, rig: Rig) -> None:
        await self.session(signer, rig, 2)
        rig.clock.advance(minutes=1)
        answer = await signer.acme.refused("SignObjectUrl", sign(ttl=61))
        assert answer.reason == "CREDENTIAL_EXPIRED"
        assert answer.metadata == {
            "credential": "projects/acme/credentials/main",
            "expire_time": "2026-02-03T12:02:00Z",
        }
        assert (await signer.acme.ok("SignObjectUrl", sign(ttl=60))).url
        rig.clock.advance(minutes=1)
        answer = await signer.acme.refused("SignObjectUrl", sign(ttl=1))
        assert answer.reason == "CREDENTIAL_EXPIRED"
