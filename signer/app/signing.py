"""Signing: from a typed intent to URLs, with the record of it accepted before they leave."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from serving.faults import Fault
from serving.names import not_found
from signer.app.asked import (
    MAX_BATCH,
    ListQuery,
    ObjectRef,
    Options,
    check_content_type,
    check_method,
    check_options,
    check_query,
    check_usable,
    object_fault,
)
from signer.app.compiler import Compiler
from signer.app.context import Actor, Desk
from signer.app.state import BindingView, SigningState
from signer.domain.credentials import Permission
from signer.domain.lifetime import Lifetime, default_ttl, lifetime, max_ttl, phase
from signer.domain.names import Ref
from signer.domain.ports import Step
from signer.domain.reasons import Reason
from signer.domain.responses import overrides
from signer.domain.signing import (
    ListIntent,
    Method,
    ObjectIntent,
    ObjectUrlMaker,
    UrlSigner,
)

_PERMISSION = {
    Method.GET: Permission.READ,
    Method.HEAD: Permission.READ,
    Method.PUT: Permission.WRITE,
    Method.DELETE: Permission.DELETE,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the URLs of one answer share."""

    method: Method
    headers: dict[str, str]
    lifetime: Lifetime
    revision: str
    location_epoch: int


@dataclass(frozen=True, slots=True)
class SignedObjects:
    """``outcomes`` in request order: a URL, or the Fault that stands in its place."""

    terms: Terms
    outcomes: list[str | Fault] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedListing:
    terms: Terms
    url: str = field(repr=False)
    location_prefix: str


class Signing:
    """The use cases behind SignObjectUrl, BatchSignObjectUrls and SignListUrl."""

    def __init__(self, desk: Desk, state: SigningState, compiler: Compiler) -> None:
        self._desk = desk
        self._state = state
        self._compiler = compiler

    async def objects(
        self,
        actor: Actor,
        binding: Ref,
        options: Options,
        objects: Sequence[ObjectRef],
        on_behalf_of: str,
    ) -> SignedObjects:
        """URLs for up to 1,000 objects. A key that can't be signed fails by itself."""
        check_options(options, on_behalf_of)
        if len(objects) > MAX_BATCH:
            raise Fault(Reason.BATCH_TOO_LARGE, "Ask for fewer at once.", {"limit": str(MAX_BATCH)})
        view = await self._view(binding)
        check_method(actor, view, _PERMISSION[options.method])
        times = self._lifetime(view, options.ttl)
        signer = await self._compiler.signer(view, times.instant.signed_at.date())
        outcomes = _sign_all(view, signer, options, times, objects)
        signed = [ref for ref, url in zip(objects, outcomes, strict=True) if isinstance(url, str)]
        await self._record(actor, view, options, times, signed, on_behalf_of)
        terms = _terms(view, options.method, times, signer)
        return SignedObjects(terms, outcomes)

    async def listing(
        self, actor: Actor, binding: Ref, options: Options, query: ListQuery, on_behalf_of: str
    ) -> SignedListing:
        """The URL of one page of a listing below the location's prefix."""
        check_options(options, on_behalf_of)
        check_query(query)
        view = await self._view(binding)
        check_method(actor, view, Permission.LIST)
        times = self._lifetime(view, options.ttl)
        signer = await self._compiler.signer(view, times.instant.signed_at.date())
        prefix = view.revision.location.prefix
        url = signer.listing(
            ListIntent(
                audience=options.audience,
                instant=times.instant,
                prefix=prefix + query.prefix,
                start_after=prefix + query.start_after if query.start_after else "",
                continuation_token=query.continuation_token,
                page_size=query.page_size,
            )
        )
        listed = [ObjectRef(query.prefix)]
        await self._record(actor, view, options, times, listed, on_behalf_of, listing=True)
        return SignedListing(_terms(view, Method.GET, times, signer), url, prefix)

    async def _view(self, binding: Ref) -> BindingView:
        view = await self._state.view(binding.project, binding.id)
        if view is None:
            name = f"projects/{binding.project}/bindings/{binding.id}"
            raise not_found(Reason.RESOURCE_NOT_FOUND, name)
        check_usable(view)
        return view

    def _lifetime(self, view: BindingView, wanted: timedelta | None) -> Lifetime:
        binding = view.binding
        limit = max_ttl(binding.max_url_lifetime, binding.stable_window)
        ttl = wanted or default_ttl(binding.max_url_lifetime, binding.stable_window)
        if ttl > limit:
            raise Fault(
                Reason.LIFETIME_EXCEEDED,
                "TTL plus stable window exceed the binding's max_url_lifetime.",
                {"max_ttl_seconds": str(int(limit.total_seconds()))},
            )
        now = self._desk.clock.now()
        shift = phase(binding.uid, int(binding.stable_window.total_seconds()))
        times = lifetime(now, ttl, binding.stable_window, shift)
        end = view.credential.expire_time
        if end is None or times.not_after <= end:
            return times
        if now + ttl > end:
            raise Fault(
                Reason.CREDENTIAL_EXPIRED,
                "The credential ends before the URL would.",
                {"credential": view.credential.name, "expire_time": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
            )
        # The store ends the URL with the credential, so that is the true end of it.
        return replace(times, not_after=end, refresh_after=min(times.refresh_after, end))

    async def _record(
        self,
        actor: Actor,
        view: BindingView,
        options: Options,
        times: Lifetime,
        objects: Sequence[ObjectRef],
        on_behalf_of: str,
        *,
        listing: bool = False,
    ) -> None:
        """Audit first: only once the log has taken the record may the URLs leave."""
        prefix = view.revision.location.prefix
        entry = self._desk.entry(actor, Step.SIGNED, view.binding.project, view.binding.name)
        await self._desk.audit.record(
            replace(
                entry,
                on_behalf_of=on_behalf_of,
                generation=view.generation,
                revision=view.revision_name,
                credential=view.credential.name,
                method="LIST" if listing else str(options.method),
                audience=str(options.audience),
                keys=[prefix + ref.key for ref in objects],
                versions=[ref.version for ref in objects if ref.version],
                not_after=times.not_after,
            )
        )
        # The log may have taken its time, and a rotation may have returned meanwhile.
        self._state.check_fresh(view.confirmed_at)


def _sign_all(
    view: BindingView,
    signer: UrlSigner,
    options: Options,
    times: Lifetime,
    objects: Sequence[ObjectRef],
) -> list[str | Fault]:
    epoch = view.revision.location_epoch
    prefix = view.revision.location.prefix
    maker_for = _makers(signer, options, times)
    outcomes: list[str | Fault] = []
    for ref in objects:
        fault = object_fault(prefix, ref, options.method)
        if fault is None:
            try:
                make = maker_for(ref.content_type or options.content_type)
            except Fault as refused:
                fault = refused
        if fault is not None:
            outcomes.append(fault)
            continue
        version = ref.version if ref.version_epoch in (0, epoch) else ""
        outcomes.append(make(prefix + ref.key, version))
    return outcomes


def _makers(
    signer: UrlSigner, options: Options, times: Lifetime
) -> Callable[[str], ObjectUrlMaker]:
    """One maker per content type: a batch has few, and all else is shared."""
    made: dict[str, ObjectUrlMaker] = {}

    def maker(content_type: str) -> ObjectUrlMaker:
        found = made.get(content_type)
        if found is None:
            check_content_type(content_type, options.disposition)
            headers = overrides(
                options.method,
                content_type,
                options.disposition,
                options.cache_control,
            )
            intent = ObjectIntent(options.method, options.audience, times.instant, headers)
            found = made[content_type] = signer.objects(intent)
        return found

    return maker


def _terms(view: BindingView, method: Method, times: Lifetime, signer: UrlSigner) -> Terms:
    headers = {name.lower(): value for name, value in signer.required_headers(method).items()}
    return Terms(method, headers, times, view.revision_name, view.revision.location_epoch)
