"""Marked secrets, and the search for them in whatever shape they may have got out.

    canary = Canary.new()
    findings("log", text, canary.secrets())     # [] or ["log: secret_access_key as base64"]

A canary is random, so that a hit is never a coincidence, and made of the characters that a real
secret has. Windows of 8 characters are looked for, too: most of a secret is as bad as all of it.
"""

import base64
import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
WINDOW = 8
# Signs of a signed URL, which is as good as a key while it lives (threat 32).
BEARER = (b"X-Amz-Signature", b"X-Goog-Signature", b"X-Amz-Credential", b"&sig=", b"?sig=")


@dataclass(frozen=True)
class Canary:
    """One marked key; the id is shown in URLs, the secret nowhere."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    @classmethod
    def new(cls, seed: int) -> "Canary":
        source = random.Random(seed)
        return cls(
            "AKIA" + "".join(source.choices(_ALPHABET[:26], k=16)),
            "".join(source.choices(_ALPHABET, k=40)),
            "".join(source.choices(_ALPHABET, k=60)),
        )

    def secrets(self) -> dict[str, str]:
        """What may be in no place at all."""
        return {"secret_access_key": self.secret_access_key}

    def everything(self) -> dict[str, str]:
        """What may be in no place but a signed URL."""
        return {
            **self.secrets(),
            "access_key_id": self.access_key_id,
            "session_token": self.session_token,
        }


def shapes(secret: str) -> Iterator[tuple[str, bytes]]:
    """As it is, as it may have been written on the way, and what would confirm a guess of it."""
    raw = secret.encode()
    yield "itself", raw
    for start in range(len(raw) - WINDOW + 1):
        yield "a part of it", raw[start : start + WINDOW]
    yield from _base64(raw)
    yield "hex", raw.hex().encode()
    yield "hex", raw.hex().upper().encode()
    once = quote(secret, safe="")
    yield "a quoted part of a URL", once.encode()
    yield "a doubly quoted part of a URL", quote(once, safe="").encode()
    yield "backwards", raw[::-1]
    yield "UTF-16", secret.encode("utf-16-le")
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, raw).digest()
        yield f"plain {name}", digest
        yield f"plain {name}", digest.hex().encode()
        yield f"plain {name}", base64.b64encode(digest).rstrip(b"=")


def _base64(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """At each of the three alignments that it may have had in a longer text."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + raw).rstrip(b"=")
        core = encoded[(0, 2, 3)[offset] : len(encoded) - 2]
        yield f"base64 at {offset}", core
        yield f"base64url at {offset}", core.replace(b"+", b"-").replace(b"/", b"_")


def findings(place: str, content: bytes, secrets: Mapping[str, str]) -> list[str]:
    """One line for each secret and shape that stands in ``content``."""
    found = {
        f"{place}: {name} as {shape}"
        for name, secret in secrets.items()
        for shape, needle in shapes(secret)
        if needle in content
    }
    return sorted(found)


def bearers(place: str, content: bytes) -> list[str]:
    return [f"{place}: {sign.decode()}" for sign in BEARER if sign in content]


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name, sockets and pipes left out."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
