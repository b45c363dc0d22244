"""What is refused, with the exact reason and the exact field, and with the metadata documented."""

from collections.abc import Callable
from datetime import timedelta as span
from typing import Any

import pytest

from tests.fakes import contract_source
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
from tests.fakes.signer_rig import Answer, Rig, Running

PHOTOS = "projects/acme/bindings/photos"
EXAMPLES = contract_source.reasons()


def expect(answer: Answer, reason: str, *fields: str) -> None:
    """Reason and fields as said, and metadata with the names that the contract's example shows."""
    assert (answer.reason, sorted(answer.fields)) == (reason, sorted(fields)), answer.message
    assert set(answer.metadata) <= EXAMPLES[reason].keys
    assert answer.info.domain == "signer.sealmount.dev"


STORED: dict[str, tuple[Any, str]] = {
    "no id": (lambda: store(credential_id=""), "credential_id"),
    "id in capitals": (lambda: store(credential_id="Main"), "credential_id"),
    "id with a line end": (lambda: store(credential_id="main\n"), "credential_id"),
    "id with a slash": (lambda: store(credential_id="a/b"), "credential_id"),
    "long id": (lambda: store(credential_id="a" * 64), "credential_id"),
    "no material": (lambda: store(plain=None), "plain"),
    "no kind": (lambda: store(plain={}), "plain"),
    "no secret": (
        lambda: store(plain=material(secret="")),
        "plain.aws_access_key.secret_access_key",
    ),
    "secret of two lines": (
        lambda: store(plain=material(secret="a" * 20 + "\r\n")),
        "plain.aws_access_key.secret_access_key",
    ),
    "key id of two words": (
        lambda: store(plain=material("AKIA EXAMPLE")),
        "plain.aws_access_key.access_key_id",
    ),
    "no scope": (lambda: store(rules=[]), "scope.rules"),
    "too many rules": (lambda: store(rules=[rule()] * 65), "scope.rules"),
    "origin in clear": (
        lambda: store(rules=[rule(origin="http://minio.example.com")]),
        "scope.rules[0].origin",
    ),
    "origin with a path": (
        lambda: store(rules=[rule(), rule(origin="https://minio.example.com/x")]),
        "scope.rules[1].origin",
    ),
    "origin that is an address": (
        lambda: store(rules=[rule(origin="https://169.254.169.254")]),
        "scope.rules[0].origin",
    ),
    "every bucket": (lambda: store(rules=[rule(bucket="*")]), "scope.rules[0].bucket"),
    "arn": (lambda: store(rules=[rule(bucket="arn:aws:s3:::b")]), "scope.rules[0].bucket"),
    "prefix without end": (lambda: store(rules=[rule(prefix="raw")]), "scope.rules[0].prefix"),
    "prefix that climbs": (lambda: store(rules=[rule(prefix="../")]), "scope.rules[0].prefix"),
    "no permission": (
        lambda: store(rules=[{"origin": "https://minio.example.com", "bucket": "photos"}]),
        "scope.rules[0].permissions",
    ),
    "unknown permission": (
        lambda: store(rules=[rule(99)]),  # type: ignore[arg-type]
        "scope.rules[0].permissions",
    ),
    "consumer that is none": (
        lambda: store(scope={"rules": [rule()], "consumer_projects": ["Beta"]}),
        "scope.consumer_projects",
    ),
    "too many consumers": (
        lambda: store(
            scope={"rules": [rule()], "consumer_projects": [f"p{n}" for n in range(1001)]}
        ),
        "scope.consumer_projects",
    ),
    "session without an end": (lambda: store(plain=material(session_token="t")), "expire_time"),
    "no uuid": (lambda: store(request_id="once"), "request_id"),
}


async def test_credentials_that_are_refused(signer: Running, rig: Rig) -> None:
    past = {"expired": (lambda: store(expire_time=at(rig.clock.now())), "expire_time")}
    for what, (make, field) in (STORED | past).items():
        answer = await signer.acme.refused("StoreCredential", make())
        assert answer.fields == [field], what
        expect(answer, "INVALID_FIELD", field)
    assert not (await signer.acme.ok("ListCredentials", parent="projects/acme")).credentials


async def test_every_wrong_field_is_named_at_once(signer: Running) -> None:
    request = store(credential_id="X", plain=material("x y", "z"), rules=[rule(bucket="B")])
    expect(
        await signer.acme.refused("StoreCredential", request),
        "INVALID_FIELD",
        "credential_id",
        "scope.rules[0].bucket",
        "plain.aws_access_key.access_key_id",
        "plain.aws_access_key.secret_access_key",
    )


WRITES = (READ, LIST, WRITE, DELETE)
AT = "binding.active.location"
Make = Callable[[], Any]
BOUND: dict[str, tuple[Make, tuple[str, ...]]] = {
    "no id": (lambda: binding(binding_id=""), ("binding_id",)),
    "reserved id": (lambda: binding(binding_id="managed"), ("binding_id",)),
    "no class": (lambda: binding(kind=0), ("binding.class",)),  # type: ignore[arg-type]
    "no permission": (lambda: binding(permissions=()), ("binding.permissions",)),
    "unknown permission": (
        lambda: binding(permissions=(READ, 77)),  # type: ignore[arg-type]
        ("binding.permissions",),
    ),
    "writing to a customer": (lambda: binding(permissions=WRITES), ("binding.permissions",)),
    "managed of another name": (lambda: binding(kind=MANAGED), (f"{AT}.prefix", "binding_id")),
    "managed without a prefix": (
        lambda: binding(binding_id="managed", kind=MANAGED),
        (f"{AT}.prefix",),
    ),
    "managed below another's prefix": (
        lambda: binding(binding_id="managed", kind=MANAGED, location=place(prefix="beta/")),
        (f"{AT}.prefix",),
    ),
    "no credential": (lambda: binding(credential="main"), ("binding.active.credential",)),
    "no store": (lambda: binding(location=place().__class__(prefix="a/")), (AT,)),
    "bucket": (lambda: binding(location=place("Photos")), (f"{AT}.s3.bucket",)),
    "region": (lambda: binding(location=place(region="eu west")), (f"{AT}.s3.region",)),
    "endpoint": (
        lambda: binding(location=place(endpoint="https://10.0.0.1")),
        (f"{AT}.s3.endpoint",),
    ),
    "public endpoint": (
        lambda: binding(location=place(public_endpoint="http://cdn.example.com")),
        (f"{AT}.s3.public_endpoint",),
    ),
    "prefix": (lambda: binding(location=place(prefix="raw")), (f"{AT}.prefix",)),
    "short life": (
        lambda: binding(max_url_lifetime=seconds(59), stable_window=seconds(0)),
        ("binding.max_url_lifetime",),
    ),
    "long life": (
        lambda: binding(max_url_lifetime=seconds(604_801)),
        ("binding.max_url_lifetime",),
    ),
    "half a second": (
        lambda: binding(max_url_lifetime=seconds(100.5)),
        ("binding.max_url_lifetime",),
    ),
    "window of more than half": (
        lambda: binding(max_url_lifetime=seconds(100), stable_window=seconds(51)),
        ("binding.stable_window",),
    ),
    "window before now": (lambda: binding(stable_window=seconds(-1)), ("binding.stable_window",)),
}


async def test_bindings_that_are_refused(signer: Running) -> None:
    await signer.acme.ok("StoreCredential", store(rules=[rule(*WRITES)]))
    for what, (make, fields) in BOUND.items():
        answer = await signer.acme.refused("CreateBinding", make())
        assert sorted(answer.fields) == sorted(fields), what
        expect(answer, "INVALID_FIELD", *fields)


EVIL = "https://evil.example.com"
OUTSIDE: dict[str, Make] = {
    "bucket": lambda: binding(location=place("other", prefix="raw/")),
    "prefix": lambda: binding(location=place()),
    "sibling prefix": lambda: binding(location=place(prefix="raw2/")),
    "origin": lambda: binding(location=place(endpoint=EVIL, prefix="raw/")),
    "port": lambda: binding(
        location=place(endpoint="https://minio.example.com:9000", prefix="raw/")
    ),
    "amazon itself": lambda: binding(location=place(endpoint="", prefix="raw/")),
    "public endpoint": lambda: binding(location=place(public_endpoint=EVIL, prefix="raw/")),
    "permission": lambda: binding(location=place(prefix="raw/"), permissions=(READ, LIST)),
}


async def test_a_stored_secret_cannot_be_aimed_elsewhere(signer: Running) -> None:
    """Threat 5, at the creation and at each rotation."""
    await signer.acme.ok("StoreCredential", store(rules=[rule(READ, prefix="raw/")]))
    good = binding(location=place(prefix="raw/"), permissions=(READ,))
    made = await signer.acme.ok("CreateBinding", good)
    for what, make in OUTSIDE.items():
        request = make()
        if what != "permission":
            del request.binding.permissions[1:]
            moved = request.binding.active.location
            answer = await signer.acme.refused(
                "RotateBinding",
                name=made.name,
                credential=made.active.credential,
                location=moved,
                etag=made.etag,
            )
            expect(answer, "SCOPE_EXCEEDED")
        request.binding_id = "outside"
        answer = await signer.acme.refused("CreateBinding", request)
        expect(answer, "SCOPE_EXCEEDED")
        assert answer.metadata["permission"] == ("LIST" if what == "permission" else "READ")
    assert await signer.acme.ok("GetBinding", name=made.name) == made


async def test_names_that_are_taken(signer: Running) -> None:
    await mounted(signer.acme)
    expect(await signer.acme.refused("StoreCredential", store()), "CREDENTIAL_ALREADY_EXISTS")
    expect(await signer.acme.refused("CreateBinding", binding()), "BINDING_ALREADY_EXISTS")


async def test_a_credential_that_is_not_good_any_more_is_not_bound(
    signer: Running, rig: Rig
) -> None:
    made = await mounted(signer.acme)
    soon = at(rig.clock.now() + span(minutes=1))
    for name, expiry in (("off", None), ("gone", None), ("expired", soon)):
        await signer.acme.ok("StoreCredential", store(credential_id=name, expire_time=expiry))
    await signer.acme.ok("DisableCredential", name="projects/acme/credentials/off")
    await signer.acme.ok("DestroyCredential", name="projects/acme/credentials/gone")
    rig.clock.advance(minutes=2)
    reasons = {"off": "DISABLED", "gone": "DESTROYED", "expired": "EXPIRED"}
    for name, reason in reasons.items():
        credential = f"projects/acme/credentials/{name}"
        rotated = await signer.acme.refused(
            "RotateBinding", name=PHOTOS, credential=credential, etag=made.etag
        )
        expect(rotated, f"CREDENTIAL_{reason}")
        created = await signer.acme.refused(
            "CreateBinding", binding(binding_id="b", credential=credential)
        )
        expect(created, f"CREDENTIAL_{reason}")


async def test_a_holder_too_many(signer: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signer.app.bindings.MAX_HOLDERS", 2)
    await mounted(signer.acme)
    for n in range(2):
        await signer.acme.ok("HoldBinding", name=PHOTOS, holder=f"projects/acme/buckets/b{n}")
    answer = await signer.acme.refused("HoldBinding", name=PHOTOS, holder="projects/acme/buckets/x")
    expect(answer, "HOLDERS_LIMIT_REACHED")


@pytest.mark.parametrize("token", ["x", "AAAA", "ä", "\x00", "A" * 5000])
async def test_page_tokens_that_nobody_gave_out(signer: Running, token: str) -> None:
    await mounted(signer.acme)
    for method, parent in (
        ("ListCredentials", "projects/acme"),
        ("ListBindings", "projects/acme"),
        ("ListBindingRevisions", PHOTOS),
    ):
        answer = await signer.acme.refused(method, parent=parent, page_token=token)
        expect(answer, "PAGE_TOKEN_INVALID")
        negative = await signer.acme.refused(method, parent=parent, page_size=-1)
        expect(negative, "INVALID_FIELD", "page_size")


async def test_bytes_that_are_no_message(signer: Running) -> None:
    for raw in (b"\xff" * 10, b"\x0a\xff", b"\x0a\x02\xff\xfe", sign().SerializeToString()[:-1]):
        answer = await signer.acme.send("SignObjectUrl", raw)
        expect(answer, "MALFORMED_REQUEST")


async def test_a_message_that_is_too_large(signer: Running) -> None:
    answer = await signer.acme.call("SignObjectUrl", sign("k" * (4 * 1024 * 1024 + 1)))
    expect(answer, "REQUEST_TOO_LARGE")
    assert answer.metadata == {"max_bytes": str(4 * 1024 * 1024)}
    huge = await signer.acme.call("SignObjectUrl", sign("k" * (6 * 1024 * 1024)))
    assert huge.code.name == "RESOURCE_EXHAUSTED"


async def test_managed_storage_stays_below_its_prefix(signer: Running) -> None:
    made = await managed(signer.acme)
    answer = await signer.acme.refused(
        "RotateBinding",
        name=made.name,
        credential=made.active.credential,
        location=place(prefix="beta/"),
        etag=made.etag,
    )
    expect(answer, "INVALID_FIELD", "location.prefix")
