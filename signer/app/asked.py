"""What callers ask a signer for, and what is refused before anything is signed."""

from dataclasses import dataclass
from datetime import timedelta

from serving.faults import Fault, FieldViolation
from serving.texts import is_plain
from signer.app.context import Actor
from signer.app.state import BindingView
from signer.domain.bindings import BindingClass
from signer.domain.credentials import CredentialState, Permission
from signer.domain.location import key_defect
from signer.domain.reasons import Reason
from signer.domain.responses import (
    Disposition,
    is_cache_control,
    is_content_type,
    may_show_inline,
)
from signer.domain.signing import Audience, Method

MAX_BATCH = 1000
MAX_ON_BEHALF_OF = 256
MAX_VERSION = 1024
MAX_CONTINUATION = 4096


@dataclass(frozen=True, slots=True)
class Options:
    """How URLs are wanted; ``ttl`` None for the default."""

    method: Method = Method.GET
    audience: Audience = Audience.PUBLIC
    ttl: timedelta | None = None
    content_type: str = ""
    disposition: Disposition = Disposition.DEFAULT
    cache_control: str = ""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object by its key below the location's prefix."""

    key: str
    version: str = ""
    version_epoch: int = 0
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which page; ``prefix`` and ``start_after`` are relative to the location's prefix."""

    prefix: str = ""
    start_after: str = ""
    continuation_token: str = ""
    page_size: int = 1000


def check_options(options: Options, on_behalf_of: str) -> None:
    """INVALID_FIELD and RESPONSE_TYPE_NOT_ALLOWED, before anything is looked up."""
    found = []
    if options.ttl is not None and (options.ttl < timedelta(seconds=1) or options.ttl.microseconds):
        found.append(FieldViolation("options.ttl", "Give at least one whole second."))
    if not is_cache_control(options.cache_control):
        text = "Give up to 8 known directives, such as 'private, max-age=600'."
        found.append(FieldViolation("options.response_cache_control", text))
    if not is_plain(on_behalf_of, MAX_ON_BEHALF_OF):
        text = f"Give at most {MAX_ON_BEHALF_OF} bytes without control characters."
        found.append(FieldViolation("on_behalf_of", text))
    reads = options.method in (Method.GET, Method.HEAD)
    overridden = options.content_type or options.cache_control
    if not reads and (overridden or options.disposition is not Disposition.DEFAULT):
        text = "Response headers can be chosen for GET and HEAD only."
        found.append(FieldViolation("options", text))
    if found:
        raise Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=found)
    check_content_type(options.content_type, options.disposition)


def check_content_type(content_type: str, disposition: Disposition) -> None:
    """RESPONSE_TYPE_NOT_ALLOWED for types off the list, and for inline of all but rasters."""
    inline = disposition is Disposition.INLINE
    if not is_content_type(content_type) or (inline and not may_show_inline(content_type)):
        raise Fault(
            Reason.RESPONSE_TYPE_NOT_ALLOWED,
            "The store may not be told to answer with this type, or not to show it inline.",
        )


def check_query(query: ListQuery) -> None:
    """INVALID_FIELD and KEY_UNSIGNABLE for what can't be listed."""
    found = []
    if not 1 <= query.page_size <= MAX_BATCH:
        found.append(FieldViolation("page_size", "Give 1 to 1,000, or 0 for 1,000."))
    for name, value, limit in (
        ("prefix", query.prefix, 1024),
        ("start_after", query.start_after, 1024),
        ("continuation_token", query.continuation_token, MAX_CONTINUATION),
    ):
        if not is_plain(value, limit):
            text = f"Give at most {limit} bytes without control characters."
            found.append(FieldViolation(name, text))
    if found:
        raise Fault(Reason.INVALID_FIELD, "A field has a wrong value.", violations=found)


def check_usable(view: BindingView) -> None:
    """CREDENTIAL_DISABLED and CREDENTIAL_DESTROYED: no new URL from either."""
    state = view.credential.state
    if state is CredentialState.DISABLED:
        reason, text = Reason.CREDENTIAL_DISABLED, "The binding's credential is disabled."
    elif state is CredentialState.DESTROYED:
        reason, text = Reason.CREDENTIAL_DESTROYED, "The binding's credential was destroyed."
    else:
        return
    raise Fault(reason, text, {"credential": view.credential.name})


def check_method(actor: Actor, view: BindingView, needed: Permission) -> None:
    """METHOD_NOT_PERMITTED unless binding, class and role all reach so far."""
    writes = needed in (Permission.WRITE, Permission.DELETE)
    managed = view.binding.binding_class is BindingClass.MANAGED
    by_role = "catalog" in actor.roles if writes or needed is Permission.LIST else True
    if needed in view.binding.permissions and by_role and (managed or not writes):
        return
    raise Fault(
        Reason.METHOD_NOT_PERMITTED,
        "The binding, or the caller's role, doesn't permit this.",
        {"permission": str(needed)},
    )


def object_fault(prefix: str, ref: ObjectRef, method: Method) -> Fault | None:
    """Why this one object can't be signed for, or None."""
    defect = key_defect(prefix + ref.key) if ref.key else "The key is empty."
    if defect is None and ref.version:
        if not is_plain(ref.version, MAX_VERSION):
            defect = "The version isn't one."
        elif method is Method.PUT:
            defect = "A version can't be chosen for an object that is to be created."
    return None if defect is None else Fault(Reason.KEY_UNSIGNABLE, defect)
