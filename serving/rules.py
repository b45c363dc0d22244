"""Authorization as data: one :class:`Rule` per RPC, compiled once into a check.

    RULES = {
        "/sealmount.signer.v1.SignerService/GetBinding":
            Rule(frozenset({"operator", "catalog"}), "name"),
        "/sealmount.catalog.v1.CatalogService/UpdateBucket":
            Rule(frozenset({"editor"}), "bucket.name"),
    }

What isn't in the table is denied. The order of the answers is fixed, and each depends on less than
the next: a name that can't be anybody's is INVALID_FIELD (it depends on the request alone, so it
tells nothing about tenants); a project in which the caller has no role is NOT_FOUND, worded like a
resource that isn't there; a role that isn't enough for this RPC is ROLE_MISSING.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from operator import attrgetter
from typing import Any, Protocol, Self

from serving.calls import Caller
from serving.faults import Fault, FieldViolation
from serving.names import not_found, project_of


class Access(Enum):
    """What an RPC asks of its caller."""

    ROLE = auto()  # one of the rule's roles, in the project that the request names
    KNOWN = auto()  # any identity that the policy names
    AUTHENTICATED = auto()  # any identity of the trust domain


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call an RPC, and for how long it may run.

    ``resource`` is the request's field (dotted for a nested one) whose value begins with
    ``projects/{project}``, or a function that takes it out of the request; None when the RPC is
    about no project, and then the role may be held in any. ``timeout`` is the server's deadline in
    seconds for a caller who sets none, ``max_timeout`` the longest that one may ask for; None means
    no limit. ``while_unready`` lets the RPC through while the service refuses everything else, and
    ``quiet`` logs its calls at DEBUG.
    """

    roles: frozenset[str] = frozenset()
    resource: str | Callable[[Any], str] | None = None
    timeout: float | None = 10.0
    max_timeout: float | None = 60.0
    access: Access = Access.ROLE
    while_unready: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        if (self.access is Access.ROLE) != bool(self.roles):
            raise ValueError("a rule names roles if and only if its access is ROLE")


_PROBE = Rule(access=Access.AUTHENTICATED, while_unready=True, quiet=True)
HEALTH_RULES: Mapping[str, Rule] = {
    "/grpc.health.v1.Health/Check": _PROBE,
    "/grpc.health.v1.Health/List": _PROBE,
    "/grpc.health.v1.Health/Watch": Rule(
        access=Access.AUTHENTICATED, while_unready=True, quiet=True, timeout=None, max_timeout=None
    ),
}
REFLECTION_RULES: Mapping[str, Rule] = {
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo": Rule(
        access=Access.KNOWN, quiet=True
    )
    for version in ("v1", "v1alpha")
}


@dataclass(frozen=True, slots=True)
class GateReasons:
    """The reasons of a service's own enum that the gate raises."""

    malformed: StrEnum
    invalid_field: StrEnum
    request_too_large: StrEnum
    identity_missing: StrEnum
    role_missing: StrEnum
    not_found: StrEnum
    deadline: StrEnum
    internal: StrEnum

    @classmethod
    def of(cls, reasons: type[StrEnum]) -> Self:
        """Taken by the names that both services use. KeyError names the one that lacks."""
        return cls(
            malformed=reasons["MALFORMED_REQUEST"],
            invalid_field=reasons["INVALID_FIELD"],
            request_too_large=reasons["REQUEST_TOO_LARGE"],
            identity_missing=reasons["IDENTITY_MISSING"],
            role_missing=reasons["ROLE_MISSING"],
            not_found=reasons["RESOURCE_NOT_FOUND"],
            deadline=reasons["DEADLINE_EXCEEDED"],
            internal=reasons["INTERNAL"],
        )


class Grants(Protocol):
    """The policy as the gate sees it; :class:`serving.policy.Policy` is one."""

    def roles(self, identity: str, project: str) -> frozenset[str]: ...

    def roles_anywhere(self, identity: str) -> frozenset[str]: ...

    def knows(self, identity: str) -> bool: ...


Authorize = Callable[[str, Any], Caller]


def compile_rule(method: str, rule: Rule | None, grants: Grants, reasons: GateReasons) -> Authorize:
    """The check of one RPC: ``(identity, request) -> Caller``, or a Fault."""

    def refusal() -> Fault:
        return Fault(
            reasons.role_missing, "The caller's roles don't include this call.", {"rpc": method}
        )

    if rule is None:
        return _nobody(refusal)
    if rule.access is Access.ROLE and rule.resource is not None:
        return _in_project(rule.roles, rule.resource, grants, reasons, refusal)
    return _anywhere(rule, grants, refusal)


def _nobody(refusal: Callable[[], Fault]) -> Authorize:
    def authorize(_identity: str, _request: Any) -> Caller:
        raise refusal()

    return authorize


def _anywhere(rule: Rule, grants: Grants, refusal: Callable[[], Fault]) -> Authorize:
    def authorize(identity: str, _request: Any) -> Caller:
        roles = grants.roles_anywhere(identity)
        if rule.access is Access.KNOWN and not grants.knows(identity):
            raise refusal()
        if rule.access is Access.ROLE and roles.isdisjoint(rule.roles):
            raise refusal()
        return Caller(identity, "", roles)

    return authorize


def _in_project(
    wanted: frozenset[str],
    resource: str | Callable[[Any], str],
    grants: Grants,
    reasons: GateReasons,
    refusal: Callable[[], Fault],
) -> Authorize:
    read: Callable[[Any], str] = attrgetter(resource) if isinstance(resource, str) else resource
    field = resource if isinstance(resource, str) else "name"

    def authorize(identity: str, request: Any) -> Caller:
        name = read(request)
        project = project_of(name)
        if project is None:
            raise Fault(
                reasons.invalid_field,
                "The request doesn't name a project.",
                violations=[FieldViolation(field, "Begin the name with projects/{project}.")],
            )
        roles = grants.roles(identity, project)
        if not roles:
            raise not_found(reasons.not_found, name)
        if wanted.isdisjoint(roles):
            raise refusal()
        return Caller(identity, project, roles)

    return authorize
