"""The port to key-encryption keys: whoever holds them wraps and unwraps data keys.

    wrapped = await keks.wrap(data_key, context)
    with_it = await keks.unwrap(wrapped, context)   # a bytearray; wipe it

``context`` is authenticated and must be the same at both ends. An unknown key reference fails
closed: there is no default key and no "try them all".
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """``ref`` names the key-encryption key and its version, such as ``keyring/k2``."""

    ref: str
    blob: bytes


class KekUnavailable(Exception):
    """The key-encryption key can't be had now: unreadable file, unreachable service."""


class KekRefused(Exception):
    """The wrapped key can't be opened: unknown reference, or it was changed."""


class KeyEncryptionKeys(Protocol):
    """Raises KekUnavailable and KekRefused, without any cause that could carry key bytes."""

    async def current(self) -> str:
        """The reference that ``wrap`` uses now. Also the health check."""
        ...

    async def wrap(self, key: bytes | bytearray, context: bytes) -> WrappedKey: ...

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytearray: ...


def wipe(buffer: bytearray | memoryview) -> None:
    """Overwrites the buffer. What Python itself copied elsewhere, it doesn't reach."""
    buffer[:] = bytes(len(buffer))
