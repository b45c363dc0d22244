"""Key-encryption keys in a local file: AES-256-GCM, several versions, one of them current.

    {"version": 1, "current": "k2", "keys": {"k1": "<base64>", "k2": "<base64>"}}

The file must be readable by its owner alone (0400 or 0600) and belong to the user that runs the
Signer. It is read when the Signer starts, or later, until it can be read. Whoever has this file and
the database has the credentials: keep the two on different disks and in different backups.
"""

import base64
import binascii
import json
import os
import re
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from signer.sealing.keks import KekRefused, KekUnavailable, WrappedKey, wipe

_PREFIX = "keyring/"
_NONCE = 12
_TAG = 16
_KEY_BYTES = 32
_MAX_FILE = 64 * 1024
# Without waiting for whoever writes, should it be a pipe.
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_KEY_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class LocalKeyring:
    """The file behind the port. Keys stay in memory once they were read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current = ""
        self._ciphers: dict[str, AESGCM] = {}

    async def current(self) -> str:
        self._load()
        return _PREFIX + self._current

    async def wrap(self, key: bytes | bytearray, context: bytes) -> WrappedKey:
        self._load()
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[self._current].encrypt(nonce, key, context)
        return WrappedKey(_PREFIX + self._current, nonce + sealed)

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytearray:
        self._load()
        cipher = self._ciphers.get(wrapped.ref.removeprefix(_PREFIX))
        if not wrapped.ref.startswith(_PREFIX) or cipher is None:
            raise KekRefused("the key-encryption key isn't in the keyring")
        if len(wrapped.blob) < _NONCE + _TAG:
            raise KekRefused("the wrapped key is cut short")
        key = bytearray(len(wrapped.blob) - _NONCE - _TAG)
        nonce, sealed = wrapped.blob[:_NONCE], wrapped.blob[_NONCE:]
        try:
            cipher.decrypt_into(nonce, sealed, context, key)
        except InvalidTag:
            raise KekRefused("the wrapped key can't be opened") from None
        return key

    def _load(self) -> None:
        if self._ciphers:
            return
        current, keys = _read(self._path)
        self._ciphers = {name: AESGCM(bytes(key)) for name, key in keys.items()}
        self._current = current
        for key in keys.values():
            wipe(key)


def create(path: Path) -> None:
    """Makes a keyring with one fresh key. FileExistsError rather than losing a key."""
    _write(path, "k1", {"k1": secrets.token_bytes(_KEY_BYTES)}, os.O_EXCL)


def add_version(path: Path) -> str:
    """Adds a fresh key, makes it current and gives its reference. Older ones stay to unwrap."""
    _, keys = _read(path)
    numbers = [int(name[1:]) for name in keys if re.fullmatch(r"k[0-9]+", name)]
    name = f"k{max(numbers, default=0) + 1}"
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write(scratch, name, {**keys, name: secrets.token_bytes(_KEY_BYTES)}, os.O_EXCL)
    scratch.replace(path)
    return _PREFIX + name


def _write(path: Path, current: str, keys: dict[str, bytes | bytearray], flags: int) -> None:
    text = json.dumps(
        {
            "version": 1,
            "current": current,
            "keys": {name: base64.b64encode(key).decode() for name, key in keys.items()},
        }
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o400)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> tuple[str, dict[str, bytearray]]:
    try:
        handle = os.open(path, _READING)
        with os.fdopen(handle, "rb") as file:
            _check_file(os.fstat(file.fileno()))
            return _parse(file.read(_MAX_FILE + 1))
    except OSError:
        raise KekUnavailable("the keyring file can't be read") from None


def _check_file(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
        raise KekUnavailable("the keyring file must be a plain file that only its owner can read")
    if found.st_uid != os.geteuid():
        raise KekUnavailable("the keyring file must belong to the user that runs the Signer")


def _parse(text: bytes) -> tuple[str, dict[str, bytearray]]:
    try:
        content = json.loads(text[:_MAX_FILE])
        current, encoded = content["current"], content["keys"]
        keys = {
            name: bytearray(base64.b64decode(key, validate=True)) for name, key in encoded.items()
        }
        known = content["version"] == 1 and current in keys
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise KekUnavailable("the keyring file isn't one") from None
    names = all(_KEY_ID.fullmatch(name) for name in keys)
    sizes = all(len(key) == _KEY_BYTES for key in keys.values())
    if not (known and names and sizes):
        raise KekUnavailable("the keyring file isn't one")
    return current, keys
