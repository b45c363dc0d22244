"""Envelopes: what was sealed opens for its own row alone, and is wiped after use."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.faults import Fault
from signer.domain.credentials import Credential, Envelope, Permission, Scope, ScopeRule
from signer.domain.reasons import Reason
from signer.sealing import header, keks, vault
from signer.sealing.keks import KekRefused, KekUnavailable, WrappedKey
from signer.sealing.keyring import LocalKeyring, add_version, create
from signer.sealing.vault import EnvelopeVault
from tests.fakes.signer_databases import credential

SECRET = b"s3cr3t/canary+s3cr3t/canary+s3cr3t/canar"
FIELDS = {"access_key_id": b"AKIAIOSFODNN7EXAMPLE", "secret_access_key": SECRET}


class Sealed:
    """A vault with one sealed credential."""

    def __init__(self, path: Path) -> None:
        create(path)
        self.path = path
        self.vault = EnvelopeVault(LocalKeyring(path), "test")

    async def seal(self, **changes: Any) -> Credential:
        bare = credential(envelope=None, **changes)
        return replace(bare, envelope=await self.vault.seal(bare, FIELDS))

    async def refused(self, found: Credential) -> str:
        with pytest.raises(Fault) as caught:
            await self.vault.open(found)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        return caught.value.reason


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path / "keyring.json")


def envelope(found: Credential) -> Envelope:
    assert found.envelope is not None
    return found.envelope


def changed(found: Credential, **changes: Any) -> Credential:
    return replace(found, envelope=replace(envelope(found), **changes))


async def test_round_trip(sealed: Sealed) -> None:
    with await sealed.vault.open(await sealed.seal()) as material:
        assert bytes(material.field("secret_access_key")) == SECRET
        assert bytes(material.field("access_key_id")) == FIELDS["access_key_id"]
        assert bytes(material.field("session_token")) == b""


async def test_equal_material_is_sealed_differently_each_time(sealed: Sealed) -> None:
    one, two = envelope(await sealed.seal()), envelope(await sealed.seal())
    assert one.header == two.header
    for name in ("ciphertext", "nonce", "wrapped_key"):
        assert getattr(one, name) != getattr(two, name)


async def test_nothing_of_the_secret_is_in_the_envelope(sealed: Sealed) -> None:
    made = envelope(await sealed.seal())
    everything = made.header + made.wrapped_key + made.nonce + made.ciphertext
    assert all(SECRET[n : n + 8] not in everything for n in range(len(SECRET) - 7))
    assert FIELDS["access_key_id"] not in everything


@pytest.mark.parametrize("part", ["ciphertext", "wrapped_key", "nonce", "header"])
async def test_parts_of_another_envelope_do_not_fit(sealed: Sealed, part: str) -> None:
    mine, other = await sealed.seal(), await sealed.seal(credential_id="other")
    moved = changed(mine, **{part: getattr(envelope(other), part)})
    assert await sealed.refused(moved) == Reason.CREDENTIAL_UNREADABLE


async def test_a_whole_envelope_of_another_credential_does_not_fit(sealed: Sealed) -> None:
    mine, other = await sealed.seal(), await sealed.seal(credential_id="other")
    assert await sealed.refused(replace(mine, envelope=other.envelope)) == (
        Reason.CREDENTIAL_UNREADABLE
    )


@pytest.mark.parametrize("part", ["ciphertext", "wrapped_key", "nonce", "header"])
@pytest.mark.parametrize("how", ["cut", "emptied", "flipped", "longer"])
async def test_a_changed_part_is_refused(sealed: Sealed, part: str, how: str) -> None:
    mine = await sealed.seal()
    value = getattr(envelope(mine), part)
    value = {
        "cut": value[:-1],
        "emptied": b"",
        "flipped": bytes([value[0] ^ 1]) + value[1:],
        "longer": value + b"\0",
    }[how]
    assert await sealed.refused(changed(mine, **{part: value})) == Reason.CREDENTIAL_UNREADABLE


OTHER_SCOPE = Scope((ScopeRule("https://evil.example.com", "b", "", frozenset(Permission)),))


@pytest.mark.parametrize(
    "column",
    [
        {"project": "beta"},
        {"credential_id": "other"},
        {"uid": "other"},
        {"kind": "gcs_hmac_key"},
        {"provider": "gcs"},
        {"principal_hint": "…"},
        {"scope": OTHER_SCOPE},
        {"expire_time": None},
    ],
    ids=lambda c: next(iter(c)),
)
async def test_columns_must_say_what_the_header_says(
    sealed: Sealed, column: dict[str, Any]
) -> None:
    """A secret can't be aimed at another place by who edits the columns (threat 5)."""
    mine = await sealed.seal()
    assert await sealed.refused(replace(mine, **column)) == Reason.CREDENTIAL_UNREADABLE


async def test_a_header_that_was_edited_along_is_refused(sealed: Sealed) -> None:
    mine = await sealed.seal()
    edited = replace(mine, scope=OTHER_SCOPE)
    forged = changed(edited, header=header.header_of("test", edited))
    assert await sealed.refused(forged) == Reason.CREDENTIAL_UNREADABLE


async def test_another_deployment_cannot_open_it(sealed: Sealed) -> None:
    mine = await sealed.seal()
    sealed.vault = EnvelopeVault(LocalKeyring(sealed.path), "another")
    assert await sealed.refused(mine) == Reason.CREDENTIAL_UNREADABLE


async def test_an_unknown_key_reference_is_refused(sealed: Sealed) -> None:
    mine = await sealed.seal()
    for ref in ("keyring/k9", "vault/k1", ""):
        assert await sealed.refused(changed(mine, kek_ref=ref)) == Reason.CREDENTIAL_UNREADABLE


async def test_a_destroyed_credential_is_unreadable(sealed: Sealed) -> None:
    assert await sealed.refused(credential(envelope=None)) == Reason.CREDENTIAL_UNREADABLE


async def test_envelopes_of_both_key_versions_open(sealed: Sealed) -> None:
    old = await sealed.seal()
    add_version(sealed.path)
    sealed.vault = EnvelopeVault(LocalKeyring(sealed.path), "test")
    new = await sealed.seal()
    assert (envelope(old).kek_ref, envelope(new).kek_ref) == ("keyring/k1", "keyring/k2")
    for found in (old, new):
        with await sealed.vault.open(found) as material:
            assert material.field("secret_access_key") == SECRET


async def seal_with(sealed: Sealed, fields: dict[str, Any]) -> Credential:
    """Sealed under a header that another version of this code wrote."""
    bare = credential(envelope=None)
    written = header.canonical({**json.loads(header.header_of("test", bare)), **fields})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vault, "header_of", lambda *_: written)
        return replace(bare, envelope=await sealed.vault.seal(bare, FIELDS))


async def test_an_older_header_still_opens_when_the_version_grows(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await seal_with(sealed, {"field_of_then": ["unknown", 1]})
    monkeypatch.setattr(header, "VERSION", 2)
    monkeypatch.setattr(header, "READABLE", range(1, 3))
    new = await sealed.seal()
    assert json.loads(envelope(new).header)["v"] == 2
    for found in (old, new):
        with await sealed.vault.open(found) as material:
            assert material.field("secret_access_key") == SECRET


@pytest.mark.parametrize("version", [0, 2, None, "1", [1]])
async def test_a_header_of_an_unknown_version_stays_shut(sealed: Sealed, version: Any) -> None:
    found = await seal_with(sealed, {"v": version})
    assert await sealed.refused(found) == Reason.CREDENTIAL_UNREADABLE


class Unavailable:
    async def current(self) -> str:
        raise KekUnavailable("away")

    async def wrap(self, key: bytes | bytearray, context: bytes) -> WrappedKey:
        raise KekUnavailable("away")

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytearray:
        raise KekUnavailable("away")


async def test_without_the_key_encryption_key_it_is_sealed(sealed: Sealed) -> None:
    mine = await sealed.seal()
    sealed.vault = EnvelopeVault(Unavailable(), "test")
    assert await sealed.refused(mine) == Reason.SEALED
    with pytest.raises(Fault) as caught:
        await sealed.seal()
    assert caught.value.reason == Reason.SEALED


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    """Every buffer that was wiped, as it is afterwards."""
    seen: list[bytearray] = []

    def wipe(buffer: bytearray) -> None:
        keks.wipe(buffer)
        seen.append(buffer)

    monkeypatch.setattr(vault, "wipe", wipe)
    return seen


async def test_buffers_are_wiped_after_use(sealed: Sealed, buffers: list[bytearray]) -> None:
    mine = await sealed.seal()
    assert [len(buffer) for buffer in buffers] == [len(envelope(mine).ciphertext) - 16, 32]
    del buffers[:]
    with await sealed.vault.open(mine) as material:
        assert [len(buffer) for buffer in buffers] == [32]
        view = material.field("secret_access_key")
    assert [any(buffer) for buffer in buffers] == [False, False]
    assert bytes(view) == bytes(len(SECRET))
    assert bytes(material.field("secret_access_key")) == b""


async def test_buffers_are_wiped_when_the_block_fails(
    sealed: Sealed, buffers: list[bytearray]
) -> None:
    mine = await sealed.seal()
    views = []

    async def use() -> None:
        with await sealed.vault.open(mine) as material:
            views.append(material.field("secret_access_key"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await use()
    assert not any(views[0])
    assert not any(any(buffer) for buffer in buffers)


async def test_buffers_are_wiped_when_opening_fails(
    sealed: Sealed, buffers: list[bytearray]
) -> None:
    mine = await sealed.seal()
    del buffers[:]
    assert await sealed.refused(changed(mine, ciphertext=envelope(mine).ciphertext[::-1]))
    assert [len(buffer) for buffer in buffers] == [len(envelope(mine).ciphertext) - 16, 32]


async def test_a_refusal_repeats_nothing(sealed: Sealed) -> None:
    with pytest.raises(Fault) as caught:
        await sealed.vault.open(changed(await sealed.seal(), kek_ref="canary"))
    fault = caught.value
    assert "canary" not in f"{fault!r} {fault.metadata} {fault.violations}"
    assert KekRefused.__name__ not in str(fault)


async def test_the_expiry_is_under_the_seal(sealed: Sealed) -> None:
    mine = await sealed.seal()
    assert mine.expire_time is not None
    later = replace(mine, expire_time=mine.expire_time + timedelta(days=1))
    assert await sealed.refused(later) == Reason.CREDENTIAL_UNREADABLE
