"""Threat 2: an exception that carries a secret, at every port, and nobody gets to see its text."""

from collections.abc import Callable
from typing import Any

import pytest

from signer.app import compiler
from signer.app.state import SigningState
from signer.audit.log import ChainedAuditLog
from signer.audit.record import Chain
from signer.sealing.keyring import LocalKeyring
from signer.sealing.vault import EnvelopeVault
from signer.storage.guard import Guard
from signer.storage.ledger import SqlChange, SqlLedger
from signer.storage.source import SqlStateSource
from signer.transport import reading, writing
from tests.fakes.signer_rig import RigClock
from tests.integration.canary.watched import Watched

PORTS: dict[str, list[str]] = {
    "ledger": ["change", "credential", "binding", "users", "last_drain", "credentials"],
    "ledger's pages": ["bindings", "revisions"],
    "change": ["put_credential", "put_binding", "put_revision", "earlier", "remember", "finish"],
    "guard": ["verify", "seal", "seal_state", "verify_state"],
    "source": ["poll"],
    "vault": ["seal", "open"],
    "keyring": ["wrap", "unwrap"],
    "audit": ["record"],
    "clock": ["now", "monotonic", "sleep"],
    "state": ["view", "check_fresh"],
}
OWNERS: dict[str, Any] = {
    "ledger": SqlLedger,
    "ledger's pages": SqlLedger,
    "change": SqlChange,
    "guard": Guard,
    "source": SqlStateSource,
    "vault": EnvelopeVault,
    "keyring": LocalKeyring,
    "audit": ChainedAuditLog,
    "clock": RigClock,
    "state": SigningState,
}
METHODS = [(owner, name) for owner, names in PORTS.items() for name in names]
FUNCTIONS = {
    "reading": (reading, ["credential_of", "new_binding_of", "rotation_of", "options_of"]),
    "writing": (writing, ["credential", "binding", "terms"]),
    "compiler": (compiler, ["check_scope"]),
}


def raising(secret: str, kind: type[Exception]) -> Callable[..., Any]:
    """With the secret in its text, in its cause's, and in the frame that it came through."""

    def fail(*_arguments: Any, **_named: Any) -> Any:
        local = f"{secret} in a local"
        try:
            raise KeyError(local)
        except KeyError as cause:
            raise kind(f"while opening {secret}") from cause

    return fail


# Of the second kind is what a database or a file that is away raises by itself.
@pytest.mark.parametrize("kind", [RuntimeError, OSError])
async def test_exceptions_at_every_port_stay_inside(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    await watched.settle()
    await watched.every_rpc()
    secret = watched.canaries[0].secret_access_key
    silent = []
    for owner, name in METHODS:
        with monkeypatch.context() as patch:
            patch.setattr(OWNERS[owner], name, raising(secret, kind))
            watched.rig.clock.advance(days=2)
            if await watched.every_rpc() <= {"OK"}:
                silent.append(f"{owner}.{name}")
        watched.rig.clock.advance(days=2)
    for module, names in FUNCTIONS.values():
        for name in names:
            with monkeypatch.context() as patch:
                patch.setattr(module, name, raising(secret, kind))
                await watched.every_rpc()
    assert watched.found() == []
    assert silent == []
    assert "INTERNAL" in {answer.reason for _, answer in watched.answers}
    assert (await watched.every_rpc()) & {"OK"}


async def test_an_exception_on_the_audit_thread_stays_inside(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watched.settle()
    secret = watched.canaries[0].secret_access_key
    with monkeypatch.context() as patch:
        patch.setattr(Chain, "link", raising(secret, ValueError))
        reasons = await watched.every_rpc()
    assert "AUDIT_UNAVAILABLE" in reasons
    assert watched.found() == []
