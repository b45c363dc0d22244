"""The vault: material in, envelope out; and back, into a buffer that is wiped after use.

A fresh 256-bit data key per credential, used for one encryption alone, AES-256-GCM (NIST SP
800-38D) with the header as associated data; the data key is wrapped by the key-encryption key with
the same header as its context, so that neither can be moved to another row.
"""

import secrets
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from serving.faults import Fault
from signer.domain.credentials import Credential, Envelope
from signer.domain.ports import MaterialFields
from signer.domain.reasons import Reason
from signer.sealing.header import header_of, matches
from signer.sealing.keks import KekRefused, KekUnavailable, KeyEncryptionKeys, WrappedKey, wipe

_NONCE = 12
_TAG = 16


class OpenedMaterial:
    """Fields as views into one buffer. Leaving the ``with`` block overwrites it."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._fields = _decode(buffer)

    def field(self, name: str) -> memoryview:
        return self._fields.get(name, memoryview(b""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._fields.clear()
        wipe(self._buffer)


class EnvelopeVault:
    """The Vault port over any holder of key-encryption keys. ``deployment`` names the database."""

    def __init__(self, keks: KeyEncryptionKeys, deployment: str) -> None:
        self._keks = keks
        self._deployment = deployment

    async def seal(self, credential: Credential, fields: MaterialFields) -> Envelope:
        header = header_of(self._deployment, credential)
        plain = _encode(fields)
        data_key = bytearray(secrets.token_bytes(32))
        try:
            nonce = secrets.token_bytes(_NONCE)
            sealed = AESGCM(data_key).encrypt(nonce, plain, header)
            wrapped = await self._keks.wrap(data_key, header)
        except KekUnavailable:
            raise _sealed() from None
        finally:
            wipe(plain)
            wipe(data_key)
        return Envelope(header, wrapped.ref, wrapped.blob, nonce, sealed)

    async def open(self, credential: Credential) -> OpenedMaterial:
        envelope = credential.envelope
        if envelope is None or not matches(envelope.header, self._deployment, credential):
            raise _unreadable(credential)
        try:
            wrapped = WrappedKey(envelope.kek_ref, envelope.wrapped_key)
            data_key = await self._keks.unwrap(wrapped, envelope.header)
        except KekUnavailable:
            raise _sealed() from None
        except KekRefused:
            raise _unreadable(credential) from None
        buffer = bytearray(max(0, len(envelope.ciphertext) - _TAG))
        try:
            AESGCM(data_key).decrypt_into(
                envelope.nonce, envelope.ciphertext, envelope.header, buffer
            )
            return OpenedMaterial(buffer)
        except (InvalidTag, ValueError):
            wipe(buffer)
            raise _unreadable(credential) from None
        finally:
            wipe(data_key)


def _encode(fields: MaterialFields) -> bytearray:
    """Name and value of each field, each with its length before it (1 and 4 bytes)."""
    plain = bytearray()
    for name, value in sorted(fields.items()):
        plain += len(name).to_bytes(1, "big") + name.encode()
        plain += len(value).to_bytes(4, "big")
        plain += value
    return plain


def _decode(buffer: bytearray) -> dict[str, memoryview]:
    view, at, fields = memoryview(buffer), 0, dict[str, memoryview]()
    while at < len(view):
        name_end = at + 1 + view[at]
        value_at = name_end + 4
        value_end = value_at + int.from_bytes(view[name_end:value_at], "big")
        if value_end > len(view):
            raise ValueError("the plaintext is cut short")
        fields[bytes(view[at + 1 : name_end]).decode()] = view[value_at:value_end]
        at = value_end
    return fields


def _sealed() -> Fault:
    return Fault(Reason.SEALED, "The key-encryption key can't be had.")


def _unreadable(credential: Credential) -> Fault:
    return Fault(
        Reason.CREDENTIAL_UNREADABLE,
        "The stored credential can't be opened.",
        {"credential": credential.name},
    )
