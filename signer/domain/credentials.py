"""Credentials as the Signer knows them: everything but the material.

A credential's scope is fixed when it is stored and is part of what its ciphertext is bound to, so
that nobody who can edit rows can aim a stored secret at another place.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from serving.faults import FieldViolation
from signer.domain.location import Location, is_bucket_name, is_origin, is_prefix

MAX_SCOPE_RULES = 64
MAX_CONSUMER_PROJECTS = 1000


class Permission(StrEnum):
    """What a binding may be used for, and what a scope may allow."""

    READ = "READ"
    LIST = "LIST"
    WRITE = "WRITE"
    DELETE = "DELETE"


class CredentialState(StrEnum):
    """DESTROYED is final; its row stays as a record, without ciphertext."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    DESTROYED = "DESTROYED"


@dataclass(frozen=True, slots=True)
class ScopeRule:
    """One place a credential may serve: exact origin and bucket, byte prefix."""

    origin: str
    bucket: str
    prefix: str
    permissions: frozenset[Permission]

    def covers(self, origin: str, location: Location, permission: Permission) -> bool:
        return (
            permission in self.permissions
            and self.origin == origin
            and self.bucket == location.bucket
            and location.prefix.startswith(self.prefix)
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """All that a credential may ever serve, for its own project and for its consumers."""

    rules: tuple[ScopeRule, ...]
    consumer_projects: frozenset[str] = frozenset()

    def plain(self) -> dict[str, list[Any]]:
        """The scope as plain values, to store and to authenticate."""
        rules = [
            [rule.origin, rule.bucket, rule.prefix, sorted(str(p) for p in rule.permissions)]
            for rule in self.rules
        ]
        return {"rules": rules, "consumers": sorted(self.consumer_projects)}

    def missing(self, location: Location, permissions: frozenset[Permission]) -> Permission | None:
        """The first permission that no rule grants at one of the location's origins, or None."""
        for permission in sorted(permissions):
            for origin in location.origins():
                if not any(rule.covers(origin, location, permission) for rule in self.rules):
                    return permission
        return None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is stored of the material: ciphertext under a data key under a key-encryption key.

    ``header`` is the associated data, stored byte for byte as it was when it was sealed.
    """

    header: bytes
    kek_ref: str
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Credential:
    """``envelope`` is None once destroyed. Times are aware, in UTC."""

    project: str
    credential_id: str
    uid: str
    kind: str
    provider: str
    principal_hint: str
    state: CredentialState
    scope: Scope
    create_time: datetime
    update_time: datetime
    expire_time: datetime | None = None
    envelope: Envelope | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"projects/{self.project}/credentials/{self.credential_id}"


def scope_violations(scope: Scope, insecure_origins: frozenset[str]) -> list[FieldViolation]:
    """What is wrong with a scope, by its path in StoreCredentialRequest."""
    found: list[FieldViolation] = []
    if not 1 <= len(scope.rules) <= MAX_SCOPE_RULES:
        found.append(FieldViolation("scope.rules", f"Give 1 to {MAX_SCOPE_RULES} rules."))
    if len(scope.consumer_projects) > MAX_CONSUMER_PROJECTS:
        text = f"Give at most {MAX_CONSUMER_PROJECTS} projects."
        found.append(FieldViolation("scope.consumer_projects", text))
    for index, rule in enumerate(scope.rules[:MAX_SCOPE_RULES]):
        found += _rule_violations(f"scope.rules[{index}]", rule, insecure_origins)
    return found


def _rule_violations(
    path: str, rule: ScopeRule, insecure_origins: frozenset[str]
) -> list[FieldViolation]:
    found = []
    if not is_origin(rule.origin, insecure_origins):
        text = "Give an origin such as https://s3.amazonaws.com: https, a DNS name, no path."
        found.append(FieldViolation(f"{path}.origin", text))
    if not is_bucket_name(rule.bucket):
        text = "Give a bucket name of 3 to 63 characters; ARNs and wildcards aren't taken."
        found.append(FieldViolation(f"{path}.bucket", text))
    if not is_prefix(rule.prefix):
        text = "Give nothing or a signable key that ends in '/'."
        found.append(FieldViolation(f"{path}.prefix", text))
    if not rule.permissions:
        found.append(FieldViolation(f"{path}.permissions", "Give at least one permission."))
    return found
