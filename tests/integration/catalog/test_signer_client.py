"""The Signer's client against a server that answers whatever the test says."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from sealmount.signer.v1 import resources_pb2, service_pb2, service_pb2_grpc
from sealmount.type.v1 import signing_pb2

from catalog.domain.ports import ObjectToSign, ViewOptions
from catalog.domain.reasons import Reason
from catalog.transport.signer_client import RETRIED, GrpcSigner
from serving import calls
from serving.channel import service_config
from serving.faults import Fault, FieldViolation, ForeignFault

Pb = service_pb2
URL = "https://store.test/a?X-Amz-Signature=feed"
BINDING = "projects/acme/bindings/cam"
Answer = Callable[[Any], Any]


class Scripted(service_pb2_grpc.SignerServiceServicer):
    """``answers`` by RPC: a function of the request, which may raise a status."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[Any] = []
        self.remaining: list[float] = []

    async def _answer(self, rpc: str, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.remaining.append(context.time_remaining())
        answer = self.answers[rpc](request)
        if isinstance(answer, status_pb2.Status):
            await context.abort_with_status(rpc_status.to_status(answer))
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "words of the network")
        return await answer if asyncio.iscoroutine(answer) else answer

    async def GetBinding(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer("GetBinding", request, context)

    async def HoldBinding(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer("HoldBinding", request, context)

    async def ReleaseBinding(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer("ReleaseBinding", request, context)

    async def BatchSignObjectUrls(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer("BatchSignObjectUrls", request, context)

    async def SignListUrl(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer("SignListUrl", request, context)


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Scripted, GrpcSigner]]:
    servicer = Scripted()  # type: ignore[abstract]  # the client calls no other RPC
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_SignerServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    signer = GrpcSigner(grpc.aio.insecure_channel(f"127.0.0.1:{port}"), 5.0)
    yield servicer, signer
    await signer.close()
    await server.stop(0)


def status(code: int, *details: Any, message: str = "Said by the Signer.") -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=message, details=packed)


def info(reason: str, domain: str = "signer.sealmount.dev", **metadata: str) -> Any:
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


def binding_message(**fields: Any) -> resources_pb2.Binding:
    given: dict[str, Any] = {
        "name": BINDING,
        "class": resources_pb2.Binding.CLASS_CUSTOMER,
        "permissions": [signing_pb2.PERMISSION_READ, signing_pb2.PERMISSION_LIST],
        "active": resources_pb2.BindingRevision(location_epoch=3),
    }
    return resources_pb2.Binding(**(given | fields))


TERMS = signing_pb2.UrlTerms(
    method="GET",
    headers={"x-amz-request-payer": "requester"},
    not_after=Timestamp(seconds=2000),
    refresh_after=Timestamp(seconds=1000),
    revision=f"{BINDING}/revisions/2",
    location_epoch=3,
)


async def test_bindings(scripted: tuple[Scripted, GrpcSigner]) -> None:
    servicer, signer = scripted
    for rpc in ("GetBinding", "HoldBinding", "ReleaseBinding"):
        servicer.answers[rpc] = lambda _: binding_message()
    found = await signer.binding(BINDING)
    assert (found.binding_class, set(found.permissions)) == ("CUSTOMER", {"READ", "LIST"})
    assert found.location_epoch == 3
    assert await signer.hold(BINDING, "projects/acme/buckets/b") == found
    await signer.release(BINDING, "projects/acme/buckets/b")
    assert servicer.requests[1:] == [
        Pb.HoldBindingRequest(name=BINDING, holder="projects/acme/buckets/b"),
        Pb.ReleaseBindingRequest(name=BINDING, holder="projects/acme/buckets/b"),
    ]


async def test_values_of_a_newer_signer_suit_nothing(
    scripted: tuple[Scripted, GrpcSigner],
) -> None:
    servicer, signer = scripted
    newer: dict[str, Any] = {"class": 77, "permissions": [1, 99]}
    servicer.answers["GetBinding"] = lambda _: binding_message(**newer)
    found = await signer.binding(BINDING)
    assert (found.binding_class, set(found.permissions)) == ("", {"READ", ""})


async def test_object_urls(scripted: tuple[Scripted, GrpcSigner]) -> None:
    servicer, signer = scripted
    error = signing_pb2.ItemError(code=3, reason="KEY_UNSIGNABLE", message="No.")
    strange = signing_pb2.ItemError(code=2, reason="STRANGE", message="a=b")
    servicer.answers["BatchSignObjectUrls"] = lambda _: Pb.BatchSignObjectUrlsResponse(
        terms=TERMS,
        outcomes=[Pb.UrlOutcome(url=URL), Pb.UrlOutcome(error=error), Pb.UrlOutcome(error=strange)],
    )
    options = ViewOptions(timedelta(minutes=2), "INTERNAL", "INLINE", "private")
    objects = [ObjectToSign("a", "v", 3, "image/png"), ObjectToSign("b"), ObjectToSign("c")]
    terms, urls = await signer.object_urls(BINDING, objects, options, "user")
    assert (urls[0].url, urls[1].reason, urls[1].code) == (URL, "KEY_UNSIGNABLE", 3)
    assert (urls[2].reason, urls[2].code) == ("INTERNAL", 13)
    assert URL not in repr(urls)
    assert (terms.method, terms.location_epoch) == ("GET", 3)
    assert terms.not_after.timestamp() == 2000
    (request,) = servicer.requests
    assert (request.options.ttl.seconds, request.on_behalf_of) == (120, "user")
    assert request.options.audience == signing_pb2.AUDIENCE_INTERNAL
    assert request.options.disposition == signing_pb2.DISPOSITION_INLINE
    assert request.objects[0] == resources_pb2.ObjectRef(
        key="a", version="v", version_epoch=3, response_content_type="image/png"
    )


async def test_a_wrong_number_of_urls_is_refused(scripted: tuple[Scripted, GrpcSigner]) -> None:
    servicer, signer = scripted
    servicer.answers["BatchSignObjectUrls"] = lambda _: Pb.BatchSignObjectUrlsResponse(
        terms=TERMS, outcomes=[Pb.UrlOutcome(url=URL)] * 2
    )
    with pytest.raises(Fault) as caught:
        await signer.object_urls(BINDING, [ObjectToSign("a")], ViewOptions(), "")
    assert caught.value.reason == Reason.INTERNAL


async def test_listing_url(scripted: tuple[Scripted, GrpcSigner]) -> None:
    servicer, signer = scripted
    servicer.answers["SignListUrl"] = lambda _: Pb.SignListUrlResponse(
        url=URL, terms=TERMS, location_prefix="in/"
    )
    terms, url, prefix = await signer.listing_url(BINDING, "p", "s", "t", "user")
    assert (url, prefix, terms.revision) == (URL, "in/", TERMS.revision)
    (request,) = servicer.requests
    assert (request.prefix, request.start_after, request.continuation_token) == ("p", "s", "t")
    assert (request.page_size, request.options.audience) == (1000, signing_pb2.AUDIENCE_INTERNAL)


async def test_the_signers_own_refusal_passes(scripted: tuple[Scripted, GrpcSigner]) -> None:
    servicer, signer = scripted
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="options.ttl", description="whatever")
    bad.field_violations.add(field="objects[0].key", description="whatever")
    bad.field_violations.add(field="on_behalf_of", description="whatever")
    servicer.answers["GetBinding"] = lambda _: status(
        3, info("INVALID_FIELD", limit="5", leak="a=b"), bad
    )
    with pytest.raises(ForeignFault) as caught:
        await signer.binding(BINDING)
    fault = caught.value
    assert (fault.domain, fault.code, fault.reason) == ("signer.sealmount.dev", 3, "INVALID_FIELD")
    assert (fault.message, fault.metadata) == ("Said by the Signer.", {"limit": "5"})
    assert [one.field for one in fault.violations] == ["options.ttl", "on_behalf_of"]
    assert isinstance(fault.violations[0], FieldViolation)
    assert fault.__context__ is None


@pytest.mark.parametrize(
    "answer",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNIMPLEMENTED,
        status(9),
        status(9, info("NOT_DOCUMENTED")),
        status(9, info("SEALED", "somebody.else")),
        status(9, info("SEALED"), info("SEALED")),
        status(9, info("UNSPECIFIED")),
    ],
)
async def test_what_the_signer_did_not_say_is_unavailable(
    scripted: tuple[Scripted, GrpcSigner], answer: Any
) -> None:
    servicer, signer = scripted
    servicer.answers["HoldBinding"] = lambda _: answer
    with pytest.raises(Fault) as caught:
        await signer.hold(BINDING, "x")
    assert caught.value.reason == Reason.SIGNER_UNAVAILABLE
    assert "words of the network" not in repr(caught.value)
    assert caught.value.__context__ is None


async def test_words_that_look_like_a_url_stay_behind(
    scripted: tuple[Scripted, GrpcSigner],
) -> None:
    servicer, signer = scripted
    servicer.answers["GetBinding"] = lambda _: status(9, info("SEALED"), message=URL)
    with pytest.raises(ForeignFault) as caught:
        await signer.binding(BINDING)
    assert "store.test" not in caught.value.message


async def test_never_longer_than_the_call_that_asks(
    scripted: tuple[Scripted, GrpcSigner],
) -> None:
    servicer, signer = scripted
    servicer.answers["GetBinding"] = lambda _: asyncio.sleep(3, binding_message())

    async def within_a_call() -> None:
        who = calls.Caller("spiffe://x/y", "acme", frozenset())
        calls.enter(calls.Call(who, time.monotonic() + 0.2, "r"))
        with pytest.raises(Fault) as caught:
            await signer.binding(BINDING)
        assert caught.value.reason == Reason.SIGNER_UNAVAILABLE

    began = time.monotonic()
    await asyncio.create_task(within_a_call())
    assert time.monotonic() - began < 1.5
    assert servicer.remaining[0] <= 0.25


async def test_nobody_there() -> None:
    signer = GrpcSigner(grpc.aio.insecure_channel("127.0.0.1:1"), 2.0)
    with pytest.raises(Fault) as caught:
        await signer.binding(BINDING)
    await signer.close()
    assert caught.value.reason == Reason.SIGNER_UNAVAILABLE


def test_what_is_sent_again_exists() -> None:
    methods = Pb.DESCRIPTOR.services_by_name["SignerService"].methods_by_name
    assert {name.rsplit("/", 1)[1] for name in RETRIED} <= set(methods)
    assert "SignListUrl" in service_config(RETRIED)
