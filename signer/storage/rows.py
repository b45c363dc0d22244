"""Rows and what they stand for: exact both ways, so that a code over the row is one over both."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from signer.domain.bindings import Binding, BindingClass, Revision, RevisionState
from signer.domain.credentials import (
    Credential,
    CredentialState,
    Envelope,
    Permission,
    Scope,
    ScopeRule,
)
from signer.domain.location import Location, Provider

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime | None) -> int | None:
    """Microseconds since 1970: what both databases keep exactly."""
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def moment(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def _at(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def canonical(table: str, row: Mapping[str, Any]) -> bytes:
    """The bytes that a row's code is computed over: all columns but the code itself."""
    fields = {name: _plain(value) for name, value in row.items() if name != "mac"}
    text = json.dumps([table, fields], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _plain(value: object) -> object:
    return {"hex": bytes(value).hex()} if isinstance(value, bytes | memoryview) else value


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def credential_row(credential: Credential) -> Row:
    envelope = credential.envelope
    return {
        "uid": credential.uid,
        "project": credential.project,
        "credential_id": credential.credential_id,
        "kind": credential.kind,
        "provider": credential.provider,
        "principal_hint": credential.principal_hint,
        "state": str(credential.state),
        "scope": _json(credential.scope.plain()),
        "expire_time": micros(credential.expire_time),
        "create_time": micros(credential.create_time),
        "update_time": micros(credential.update_time),
        "header": envelope.header if envelope else None,
        "kek_ref": envelope.kek_ref if envelope else None,
        "wrapped_key": envelope.wrapped_key if envelope else None,
        "nonce": envelope.nonce if envelope else None,
        "ciphertext": envelope.ciphertext if envelope else None,
    }


def credential_of(row: Mapping[str, Any]) -> Credential:
    envelope = None
    if row["header"] is not None:
        envelope = Envelope(
            bytes(row["header"]),
            row["kek_ref"],
            bytes(row["wrapped_key"]),
            bytes(row["nonce"]),
            bytes(row["ciphertext"]),
        )
    return Credential(
        project=row["project"],
        credential_id=row["credential_id"],
        uid=row["uid"],
        kind=row["kind"],
        provider=row["provider"],
        principal_hint=row["principal_hint"],
        state=CredentialState(row["state"]),
        scope=_scope_of(json.loads(row["scope"])),
        create_time=_at(row["create_time"]),
        update_time=_at(row["update_time"]),
        expire_time=moment(row["expire_time"]),
        envelope=envelope,
    )


def _scope_of(fields: dict[str, Any]) -> Scope:
    rules = tuple(
        ScopeRule(origin, bucket, prefix, frozenset(Permission(p) for p in permissions))
        for origin, bucket, prefix, permissions in fields["rules"]
    )
    return Scope(rules, frozenset(fields["consumers"]))


def binding_row(binding: Binding) -> Row:
    return {
        "uid": binding.uid,
        "project": binding.project,
        "binding_id": binding.binding_id,
        "class": str(binding.binding_class),
        "permissions": _json(sorted(str(p) for p in binding.permissions)),
        "max_url_lifetime": int(binding.max_url_lifetime.total_seconds()),
        "stable_window": int(binding.stable_window.total_seconds()),
        "active": binding.active,
        "holders": _json(list(binding.holders)),
        "create_time": micros(binding.create_time),
        "update_time": micros(binding.update_time),
        "delete_time": micros(binding.delete_time),
    }


def binding_of(row: Mapping[str, Any]) -> Binding:
    return Binding(
        project=row["project"],
        binding_id=row["binding_id"],
        uid=row["uid"],
        binding_class=BindingClass(row["class"]),
        permissions=frozenset(Permission(p) for p in json.loads(row["permissions"])),
        max_url_lifetime=timedelta(seconds=row["max_url_lifetime"]),
        stable_window=timedelta(seconds=row["stable_window"]),
        active=row["active"],
        holders=tuple(json.loads(row["holders"])),
        create_time=_at(row["create_time"]),
        update_time=_at(row["update_time"]),
        delete_time=moment(row["delete_time"]),
    )


def revision_row(revision: Revision) -> Row:
    location = revision.location
    place = {name: getattr(location, name) for name in Location.__dataclass_fields__}
    return {
        "binding_uid": revision.binding_uid,
        "number": revision.number,
        "credential": revision.credential,
        "credential_uid": revision.credential_uid,
        "location": _json(place),
        "location_epoch": revision.location_epoch,
        "state": str(revision.state),
        "committers": "[]",
        "create_time": micros(revision.create_time),
        "supersede_time": micros(revision.supersede_time),
        "drain_time": micros(revision.drain_time),
    }


def revision_of(row: Mapping[str, Any]) -> Revision:
    place = json.loads(row["location"])
    return Revision(
        binding_uid=row["binding_uid"],
        number=row["number"],
        credential=row["credential"],
        credential_uid=row["credential_uid"],
        location=Location(**{**place, "provider": Provider(place["provider"])}),
        location_epoch=row["location_epoch"],
        state=RevisionState(row["state"]),
        create_time=_at(row["create_time"]),
        supersede_time=moment(row["supersede_time"]),
        drain_time=moment(row["drain_time"]),
    )
