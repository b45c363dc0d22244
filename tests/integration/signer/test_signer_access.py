"""Who gets through to what: roles, tenants, and callers that the policy doesn't know."""

import itertools
from dataclasses import replace

import grpc
import pytest

from signer.transport.access import RULES
from tests.fakes.signer_requests import mounted, named
from tests.fakes.signer_rig import METHODS, ROLES, Answer, Running

SERVICE = "/sealmount.signer.v1.SignerService/"


@pytest.mark.parametrize("method", METHODS)
async def test_each_rpc_lets_in_its_roles_and_no_others(signer: Running, method: str) -> None:
    """Over the wire: what gets by the gate fails for its content, or not at all."""
    await mounted(signer.acme)
    allowed = RULES[SERVICE + method].roles
    for name, role in ROLES.items():
        answer = await signer.clients[name].call(method, named(method, "acme"))
        assert (answer.reason != "ROLE_MISSING") == (role in allowed), role
        if role not in allowed:
            assert answer.code is grpc.StatusCode.PERMISSION_DENIED
            assert answer.metadata == {"rpc": SERVICE + method}


def shown(answer: Answer) -> tuple[object, ...]:
    """All that a caller sees, but for the name that they wrote themselves."""
    metadata = {
        name: "" if name == "resource" else value for name, value in answer.metadata.items()
    }
    seen = [name for name, _ in (*answer.trailers, *answer.initial)]
    return answer.code, answer.message, answer.reason, metadata, answer.fields, sorted(seen)


@pytest.mark.parametrize("method", METHODS)
async def test_another_tenants_resource_is_like_none_at_all(signer: Running, method: str) -> None:
    await mounted(signer.acme, "acme")
    await mounted(signer.beta, "beta")
    answers = [
        await signer.clients[who].call(method, named(method, project, name=name))
        for who, project in itertools.permutations(("acme", "beta"), 2)
        for name in ("", "missing")
    ]
    answers += [
        await signer.clients[who].call(method, named(method, "nowhere"))
        for who in ("acme", "beta", "stranger")
    ]
    answers.append(await signer.stranger.call(method, named(method, "acme")))
    assert {answer.reason for answer in answers} == {"RESOURCE_NOT_FOUND"}
    assert len({repr(shown(answer)) for answer in answers}) == 1


IN_A_PROJECT = [name for name in METHODS if name not in ("StoreCredential", "ListCredentials")]


@pytest.mark.parametrize("method", [m for m in IN_A_PROJECT if m != "ListBindings"])
async def test_ones_own_missing_resource_looks_the_same(signer: Running, method: str) -> None:
    await mounted(signer.beta, "beta")
    mine = await signer.acme.call(method, named(method, "acme", name="missing"))
    theirs = await signer.acme.call(method, named(method, "beta", name="missing"))
    assert mine.reason == "RESOURCE_NOT_FOUND"
    assert repr(shown(mine)) == repr(shown(theirs))


async def test_another_tenants_credential_cannot_be_bound(signer: Running) -> None:
    """A request in one's own project that names what is in another."""
    await mounted(signer.beta, "beta")
    made = await mounted(signer.acme)
    theirs = "projects/beta/credentials/main"
    nowhere = "projects/nowhere/credentials/main"
    answers = []
    for credential in (theirs, nowhere):
        answers.append(
            await signer.acme.refused(
                "RotateBinding", name=made.name, credential=credential, etag=made.etag
            )
        )
        request = named("CreateBinding", "acme", name="other")
        request.binding.active.credential = credential
        answers.append(await signer.acme.refused("CreateBinding", request))
    assert {answer.reason for answer in answers} == {"RESOURCE_NOT_FOUND"}
    assert len({repr(shown(answer)) for answer in answers}) == 1


@pytest.mark.parametrize(
    "method", ["HoldBinding", "ReleaseBinding"], ids=lambda method: method.lower()
)
async def test_only_the_projects_own_resources_hold(signer: Running, method: str) -> None:
    made = await mounted(signer.acme)
    for holder in ("projects/beta/buckets/b", "buckets/b", "", "projects/acme"):
        answer = await signer.acme.refused(method, name=made.name, holder=holder)
        assert (answer.reason, answer.fields) == ("INVALID_FIELD", ["holder"])


@pytest.mark.parametrize(
    "name", ["", "acme", "projects/", "projects/*", "projects/ACME", "/", "x" * 999]
)
@pytest.mark.parametrize("method", ["ListCredentials", "GetBinding", "SignObjectUrl"])
async def test_a_name_without_a_project_is_nobodys(signer: Running, method: str, name: str) -> None:
    request = named(method, "acme")
    field = RULES[SERVICE + method].resource
    assert isinstance(field, str)
    setattr(request, field, name)
    answers = [await signer.clients[who].refused(method, request) for who in ("acme", "stranger")]
    assert [(a.reason, a.fields) for a in answers] == [("INVALID_FIELD", [field])] * 2
    assert replace(answers[0], trailers=()) == replace(answers[1], trailers=())


async def test_an_rpc_that_nobody_listed_is_not_there(signer: Running) -> None:
    rpc = signer.acme.channel.unary_unary("/sealmount.signer.v1.SignerService/GetMaterial")  # type: ignore[var-annotated]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpc(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
