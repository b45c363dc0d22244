"""The keys that authenticate rows, records and requests.

Three random 256-bit keys per key id, one per purpose, derived with HKDF from one root that is
wrapped by the key-encryption key and stored in the database. Who can write the database but has no
key-encryption key can neither forge a code nor learn one of these keys.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from signer.sealing.keks import KeyEncryptionKeys, WrappedKey, wipe

MAC_BYTES = 32
DIGEST_BYTES = 64


@dataclass(frozen=True, slots=True)
class StoredRoot:
    """A root key as it stands in the database."""

    key_id: str
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class Integrity:
    """What the other rooms use; ``key_id`` is stored in each row beside its code."""

    key_id: str
    _rows: bytes = field(repr=False)
    _sum: bytes = field(repr=False)
    _audit: bytes = field(repr=False)
    _requests: bytes = field(repr=False)

    def row_mac(self, row: bytes) -> bytes:
        """HMAC-SHA-256 of a row's canonical bytes."""
        return hmac.digest(self._rows, row, "sha256")

    def contribution(self, row_mac: bytes) -> int:
        """What a row adds to the digest of the whole state: 512 bits that no reader can compute.

        The sum of these over all rows, modulo 2**512, is authenticated with the generation. A row
        that was taken out, or replaced by an older one with a code that was once right, changes
        the sum.
        """
        return int.from_bytes(hmac.digest(self._sum, row_mac, "sha512"), "big")

    def audit_mac(self, previous: bytes, record: bytes) -> bytes:
        """HMAC-SHA-256 of an audit record behind the code of the record before it."""
        return hmac.digest(self._audit, previous + record, "sha256")

    def request_mac(self, *parts: bytes) -> bytes:
        """HMAC-SHA-256 of the parts, each with its length before it."""
        mac = hmac.new(self._requests, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(8, "big"))
            mac.update(part)
        return mac.digest()


async def new_root(keks: KeyEncryptionKeys, deployment: str) -> StoredRoot:
    """A fresh root key, wrapped. KekUnavailable."""
    key_id = secrets.token_hex(8)
    root = bytearray(secrets.token_bytes(32))
    try:
        return StoredRoot(key_id, await keks.wrap(root, _context(deployment, key_id)))
    finally:
        wipe(root)


async def open_root(keks: KeyEncryptionKeys, deployment: str, stored: StoredRoot) -> Integrity:
    """The keys behind a stored root. KekUnavailable, KekRefused."""
    root = await keks.unwrap(stored.wrapped, _context(deployment, stored.key_id))
    try:
        keys = [_derive(root, purpose) for purpose in (b"rows", b"sum", b"audit", b"requests")]
    finally:
        wipe(root)
    return Integrity(stored.key_id, *keys)


def _derive(root: bytearray, purpose: bytes) -> bytes:
    info = b"sealmount integrity v1 " + purpose
    return HKDFExpand(algorithm=SHA256(), length=32, info=info).derive(root)


def _context(deployment: str, key_id: str) -> bytes:
    return f"sealmount integrity root\0{deployment}\0{key_id}".encode()
