# ruff: noqa: N802 - the method names are the contract's
"""The servicer: each method maps in, calls one use case and maps out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from sealmount.signer.v1 import resources_pb2, service_pb2, service_pb2_grpc

from serving.calls import caller, request_id
from serving.faults import Fault
from signer.app.bindings import Bindings
from signer.app.context import Actor, Desk
from signer.app.credentials import Credentials
from signer.app.signing import Signing
from signer.domain.ports import Step
from signer.domain.reasons import Reason
from signer.transport import reading as read
from signer.transport import writing as write

Pb = service_pb2
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the servicer stands on; made by the bootstrap once the Signer is unsealed."""

    desk: Desk
    credentials: Credentials
    bindings: Bindings
    signing: Signing


def _sizes(messages: Sequence[Message]) -> list[int]:
    return [message.ByteSize() for message in messages]


class SignerServicer(service_pb2_grpc.SignerServiceServicer):
    """``use_cases`` gives them, or raises SEALED. The gate has authorized the caller already."""

    def __init__(self, use_cases: Callable[[], UseCases]) -> None:
        self._use_cases = use_cases

    async def _do(self, rpc: str, work: Callable[[UseCases, Actor], Awaitable[T]]) -> T:
        use = self._use_cases()
        who = caller()
        actor = Actor(who.identity, who.roles, rpc, request_id())
        try:
            return await work(use, actor)
        except Fault as fault:
            if fault.reason == Reason.STATE_TAMPERED:
                entry = use.desk.entry(actor, Step.REFUSED, who.project, "")
                await use.desk.audit.record(replace(entry, reason=fault.reason))
            raise

    async def StoreCredential(
        self, request: Pb.StoreCredentialRequest, context: Any
    ) -> resources_pb2.Credential:
        new = read.credential_of(request)
        view = await self._do("StoreCredential", lambda use, who: use.credentials.store(who, new))
        return write.credential(view)

    async def DescribeCredential(
        self, request: Pb.DescribeCredentialRequest, context: Any
    ) -> resources_pb2.Credential:
        ref = read.credential_ref(request.name)
        view = await self._do("DescribeCredential", lambda use, _: use.credentials.describe(ref))
        return write.credential(view)

    async def ListCredentials(
        self, request: Pb.ListCredentialsRequest, context: Any
    ) -> Pb.ListCredentialsResponse:
        project = read.parent_of(request.parent)
        asked = read.page_of(f"{project}/credentials", request.page_size, request.page_token)
        page = await self._do(
            "ListCredentials", lambda use, _: use.credentials.list(project, asked)
        )
        credentials = [write.credential(view) for view in page.items]
        page = asked.fitting(page, _sizes(credentials), lambda view: view.credential.credential_id)
        return Pb.ListCredentialsResponse(
            credentials=credentials[: len(page.items)], next_page_token=page.next_token
        )

    async def DisableCredential(
        self, request: Pb.DisableCredentialRequest, context: Any
    ) -> resources_pb2.Credential:
        ref = read.credential_ref(request.name)
        view = await self._do(
            "DisableCredential", lambda use, who: use.credentials.disable(who, ref)
        )
        return write.credential(view)

    async def EnableCredential(
        self, request: Pb.EnableCredentialRequest, context: Any
    ) -> resources_pb2.Credential:
        ref = read.credential_ref(request.name)
        view = await self._do("EnableCredential", lambda use, who: use.credentials.enable(who, ref))
        return write.credential(view)

    async def DestroyCredential(
        self, request: Pb.DestroyCredentialRequest, context: Any
    ) -> resources_pb2.Credential:
        ref = read.credential_ref(request.name)
        view = await self._do(
            "DestroyCredential", lambda use, who: use.credentials.destroy(who, ref)
        )
        return write.credential(view)

    async def CreateBinding(
        self, request: Pb.CreateBindingRequest, context: Any
    ) -> resources_pb2.Binding:
        new = read.new_binding_of(request)
        bound = await self._do("CreateBinding", lambda use, who: use.bindings.create(who, new))
        return write.binding(bound)

    async def GetBinding(
        self, request: Pb.GetBindingRequest, context: Any
    ) -> resources_pb2.Binding:
        ref = read.binding_ref(request.name)
        return write.binding(await self._do("GetBinding", lambda use, _: use.bindings.get(ref)))

    async def ListBindings(
        self, request: Pb.ListBindingsRequest, context: Any
    ) -> Pb.ListBindingsResponse:
        project = read.parent_of(request.parent)
        asked = read.page_of(f"{project}/bindings", request.page_size, request.page_token)
        page = await self._do("ListBindings", lambda use, _: use.bindings.list(project, asked))
        bindings = [write.binding(bound) for bound in page.items]
        page = asked.fitting(page, _sizes(bindings), lambda bound: bound.binding.binding_id)
        return Pb.ListBindingsResponse(
            bindings=bindings[: len(page.items)], next_page_token=page.next_token
        )

    async def DeleteBinding(self, request: Pb.DeleteBindingRequest, context: Any) -> Empty:
        ref = read.binding_ref(request.name)
        await self._do(
            "DeleteBinding", lambda use, who: use.bindings.delete(who, ref, request.etag)
        )
        return Empty()

    async def HoldBinding(
        self, request: Pb.HoldBindingRequest, context: Any
    ) -> resources_pb2.Binding:
        ref = read.binding_ref(request.name)
        bound = await self._do(
            "HoldBinding", lambda use, who: use.bindings.hold(who, ref, request.holder)
        )
        return write.binding(bound)

    async def ReleaseBinding(
        self, request: Pb.ReleaseBindingRequest, context: Any
    ) -> resources_pb2.Binding:
        ref = read.binding_ref(request.name)
        bound = await self._do(
            "ReleaseBinding", lambda use, who: use.bindings.release(who, ref, request.holder)
        )
        return write.binding(bound)

    async def RotateBinding(
        self, request: Pb.RotateBindingRequest, context: Any
    ) -> resources_pb2.Binding:
        wanted = read.rotation_of(request)
        bound = await self._do("RotateBinding", lambda use, who: use.bindings.rotate(who, wanted))
        return write.binding(bound)

    async def RollbackBinding(
        self, request: Pb.RollbackBindingRequest, context: Any
    ) -> resources_pb2.Binding:
        ref = read.binding_ref(request.name)
        number = read.revision_number(request.revision, ref)
        if not request.etag:
            raise read.refused("etag", "Give the etag that GetBinding shows.")
        bound = await self._do(
            "RollbackBinding",
            lambda use, who: use.bindings.rollback(who, ref, number, request.etag),
        )
        return write.binding(bound)

    async def ListBindingRevisions(
        self, request: Pb.ListBindingRevisionsRequest, context: Any
    ) -> Pb.ListBindingRevisionsResponse:
        ref = read.binding_ref(request.parent, "parent")
        asked = read.page_of(f"{request.parent}/revisions", request.page_size, request.page_token)
        binding, page = await self._do(
            "ListBindingRevisions", lambda use, _: use.bindings.revisions(ref, asked)
        )
        revisions = [write.revision(binding, found) for found in page.items]
        return Pb.ListBindingRevisionsResponse(revisions=revisions, next_page_token=page.next_token)

    async def SignObjectUrl(
        self, request: Pb.SignObjectUrlRequest, context: Any
    ) -> Pb.SignObjectUrlResponse:
        ref, options = (
            read.binding_ref(request.binding, "binding"),
            read.options_of(request.options),
        )
        wanted = [read.object_of(request.object)]
        signed = await self._do(
            "SignObjectUrl",
            lambda use, who: use.signing.objects(who, ref, options, wanted, request.on_behalf_of),
        )
        outcome = signed.outcomes[0]
        if isinstance(outcome, Fault):
            raise outcome
        return Pb.SignObjectUrlResponse(url=outcome, terms=write.terms(signed.terms))

    async def BatchSignObjectUrls(
        self, request: Pb.BatchSignObjectUrlsRequest, context: Any
    ) -> Pb.BatchSignObjectUrlsResponse:
        ref, options = (
            read.binding_ref(request.binding, "binding"),
            read.options_of(request.options),
        )
        if not request.objects:
            raise read.refused("objects", "Give at least one object.")
        wanted = [read.object_of(found) for found in request.objects]
        signed = await self._do(
            "BatchSignObjectUrls",
            lambda use, who: use.signing.objects(who, ref, options, wanted, request.on_behalf_of),
        )
        return Pb.BatchSignObjectUrlsResponse(
            terms=write.terms(signed.terms), outcomes=write.outcomes(signed.outcomes)
        )

    async def SignListUrl(
        self, request: Pb.SignListUrlRequest, context: Any
    ) -> Pb.SignListUrlResponse:
        ref, options = (
            read.binding_ref(request.binding, "binding"),
            read.options_of(request.options),
        )
        query = read.query_of(request)
        signed = await self._do(
            "SignListUrl",
            lambda use, who: use.signing.listing(who, ref, options, query, request.on_behalf_of),
        )
        return Pb.SignListUrlResponse(
            url=signed.url,
            terms=write.terms(signed.terms),
            location_prefix=signed.location_prefix,
        )
