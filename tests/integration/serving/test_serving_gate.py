"""The gate over real mutual TLS: who gets in, what is refused, and what is never said."""

import asyncio
import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from serving.calls import caller, deadline, request_id
from serving.faults import Fault, FieldViolation, ForeignFault
from serving.gate import Rule, not_found
from serving.policy import parse
from tests.integration.serving.harness import (
    CLIENT,
    ROLES,
    Message,
    Pki,
    Reason,
    StrangeReason,
    path,
    running,
    sealed,
    unary,
)

pytestmark = pytest.mark.timeout(60)
OURS = Message(name="projects/acme/things/t")
THEIRS = Message(name="projects/beta/things/t")


async def echo(request: Any, _context: Any) -> Any:
    return request


async def test_caller_deadline_and_request_id_reach_the_servicer(shared_pki: Pki) -> None:
    seen: list[Any] = []

    async def look(request: Any, _context: Any) -> Any:
        seen.append((caller(), (deadline() or 0) - time.monotonic(), request_id()))
        return request

    async with running(shared_pki, {"Look": unary(look)}) as server:
        answer = await server.call(
            "Look", OURS, timeout=5, metadata=(("x-request-id", "trace-0001"),)
        )
        await server.call("Look", OURS, metadata=(("x-request-id", "no id, with blanks"),))
    assert Message.FromString(answer.raw) == OURS
    (who, left, given), (_, default, made) = seen
    assert (who.identity, who.project, who.roles) == (CLIENT, "acme", {"reader"})
    assert 3 < left <= 5 < default <= 10
    assert given == "trace-0001"
    assert made != given
    assert " " not in made


async def test_a_method_in_no_table_is_denied(shared_pki: Pki) -> None:
    async with running(shared_pki, {"Echo": unary(echo)}, rules={}) as server:
        answer = await server.call("Echo", OURS)
        unknown = await server.call("Nothing", OURS)
    assert answer.code is grpc.StatusCode.PERMISSION_DENIED
    assert answer.info.reason == "ROLE_MISSING"
    assert dict(answer.info.metadata) == {"rpc": path("Echo")}
    assert unknown.code is grpc.StatusCode.UNIMPLEMENTED


async def test_a_role_that_is_not_enough(shared_pki: Pki) -> None:
    rules = {path("Echo"): Rule(frozenset({"writer"}), "name")}
    async with running(shared_pki, {"Echo": unary(echo)}, rules=rules) as server:
        answer = await server.call("Echo", OURS)
    assert answer.code is grpc.StatusCode.PERMISSION_DENIED
    assert answer.info.reason == "ROLE_MISSING"
    assert answer.info.domain == "probe.sealmount"
    assert dict(answer.info.metadata) == {"rpc": path("Echo")}


async def test_not_yours_and_not_there_are_the_same_bytes(shared_pki: Pki) -> None:
    """The same name, once behind another tenant's door and once in a project of the caller's."""

    async def missing(request: Any, _context: Any) -> Any:
        raise not_found(Reason.RESOURCE_NOT_FOUND, request.name)

    ours = parse(
        f'[[grant]]\nidentity="{CLIENT}"\nroles=["reader"]\nprojects=["acme", "beta"]', ROLES
    )
    async with running(shared_pki, {"Get": unary(missing)}) as server:
        not_yours = await server.call("Get", THEIRS)
        nobodys = await server.call("Get", Message(name="projects/nobody/things/t"))
    async with running(shared_pki, {"Get": unary(missing)}, policy=ours) as server:
        not_there = await server.call("Get", THEIRS)
    assert not_yours == not_there
    assert not_yours.code is grpc.StatusCode.NOT_FOUND
    assert dict(not_yours.info.metadata) == {"resource": THEIRS.name}
    assert nobodys.message == not_yours.message


@pytest.mark.parametrize(
    "name", ["", "acme", "projects/", "projects/-", "projects/A", "/projects/a"]
)
async def test_a_name_that_can_be_nobodys(shared_pki: Pki, name: str) -> None:
    async with running(shared_pki, {"Echo": unary(echo)}) as server:
        answer = await server.call("Echo", Message(name=name))
    assert answer.code is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.info.reason == "INVALID_FIELD"
    bad = error_details_pb2.BadRequest()
    assert answer.status.details[1].Unpack(bad)
    assert [v.field for v in bad.field_violations] == ["name"]


async def test_a_nested_field_may_name_the_project(shared_pki: Pki) -> None:
    rules = {path("Echo"): Rule(frozenset({"reader"}), "inner.name")}
    async with running(shared_pki, {"Echo": unary(echo)}, rules=rules) as server:
        ours = await server.call("Echo", Message(inner=OURS))
        theirs = await server.call("Echo", Message(name=OURS.name, inner=THEIRS))
    assert ours.code is grpc.StatusCode.OK
    assert theirs.code is grpc.StatusCode.NOT_FOUND


async def test_faults_carry_one_info_and_their_violations(shared_pki: Pki) -> None:
    violations = [FieldViolation(f"rules[{n}]", "x" * 200) for n in range(500)]

    async def refuse(_request: Any, _context: Any) -> Any:
        raise Fault(Reason.INVALID_FIELD, "Fields are wrong.", {"limit": "5"}, violations)

    async with running(shared_pki, {"Refuse": unary(refuse)}) as server:
        answer = await server.call("Refuse", OURS)
    assert answer.info.reason == "INVALID_FIELD"
    assert len(answer.status.details) == 2
    assert 2000 < answer.status.ByteSize() < 4500  # cut to what trailers hold


async def test_another_services_refusal_keeps_its_domain_and_code(shared_pki: Pki) -> None:
    async def refuse(_request: Any, _context: Any) -> Any:
        raise ForeignFault("signer.sealmount", 14, "STATE_STALE", "Try again.")

    async with running(shared_pki, {"Refuse": unary(refuse)}) as server:
        answer = await server.call("Refuse", OURS)
    assert answer.code is grpc.StatusCode.UNAVAILABLE
    assert (answer.info.domain, answer.info.reason) == ("signer.sealmount", "STATE_STALE")


async def test_a_reason_of_no_table_is_internal(shared_pki: Pki) -> None:
    async def refuse(_request: Any, _context: Any) -> Any:
        raise Fault(StrangeReason.STRANGE, "Strange.")

    async with running(shared_pki, {"Refuse": unary(refuse)}) as server:
        answer = await server.call("Refuse", OURS)
    assert answer.code is grpc.StatusCode.INTERNAL
    assert answer.info.reason == "INTERNAL"


async def test_the_servers_own_deadline_and_the_callers(shared_pki: Pki) -> None:
    async def slow(_request: Any, _context: Any) -> Any:
        await asyncio.sleep(30)

    rules = {
        path("Default"): Rule(frozenset({"reader"}), "name", timeout=0.2),
        path("Capped"): Rule(frozenset({"reader"}), "name", timeout=30, max_timeout=0.2),
    }
    handlers = {"Default": unary(slow), "Capped": unary(slow)}
    async with running(shared_pki, handlers, rules=rules) as server:
        began = time.monotonic()
        default = await server.call("Default", OURS)
        capped = await server.call("Capped", OURS, timeout=20)
        await server.call("Capped", OURS, timeout=0.05)
        took = time.monotonic() - began
    for answer in (default, capped):
        assert answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert answer.info.reason == "DEADLINE_EXCEEDED"
    assert took < 5


async def test_a_timeout_of_the_servicers_own_is_a_bug(shared_pki: Pki) -> None:
    async def times_out(_request: Any, _context: Any) -> Any:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    async def awaits_cancelled(_request: Any, _context: Any) -> Any:
        task = asyncio.create_task(asyncio.sleep(5))
        task.cancel()
        await task

    handlers = {"TimesOut": unary(times_out), "Cancelled": unary(awaits_cancelled)}
    async with running(shared_pki, handlers) as server:
        timed_out = await server.call("TimesOut", OURS, timeout=5)
        cancelled = await server.call("Cancelled", OURS, timeout=5)
    assert timed_out.info.reason == "INTERNAL"
    assert cancelled.info.reason == "INTERNAL"


async def test_a_cancelled_call_ends_the_servicer(shared_pki: Pki) -> None:
    ended, logged = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> Any:
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    async with (
        running(shared_pki, {"Wait": unary(wait)}, observe=lambda _: logged.set()) as server,
        server.channel() as channel,
    ):
        rpc: Any = channel.unary_unary(path("Wait"))
        call = rpc(OURS.SerializeToString())
        await asyncio.sleep(0.2)
        call.cancel()
        async with asyncio.timeout(5):
            await ended.wait()
            await logged.wait()
    assert server.records == [(path("Wait"), "CANCELLED", "")]


async def test_sealed_refuses_everything_but_health(shared_pki: Pki) -> None:
    state = [sealed()]
    async with running(shared_pki, {"Echo": unary(echo)}, ready=lambda: state[0]) as server:
        refused = await server.call("Echo", OURS)
        health = await server.call("/grpc.health.v1.Health/Check")
        state[0] = None  # type: ignore[call-overload]
        opened = await server.call("Echo", OURS)
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.info.reason == "SEALED"
    assert health.code is grpc.StatusCode.OK
    assert opened.code is grpc.StatusCode.OK
