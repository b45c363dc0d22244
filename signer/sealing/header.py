"""The header of a sealed credential: what its ciphertext is bound to.

A versioned, canonical JSON object (sorted names, no white space, RFC 8785 for the values that occur
here), stored byte for byte and used as the associated data. The columns of the row are a
projection of it that is checked when the credential is opened. Because the stored bytes are what
is authenticated, a field that a later version adds breaks no older row.
"""

import json
from typing import Any

from signer.domain.credentials import Credential

VERSION = 1
# A later version may hold restrictions that this one doesn't know: those stay shut.
READABLE = range(1, VERSION + 1)


def header_of(deployment: str, credential: Credential) -> bytes:
    """The header to seal a new credential under."""
    return canonical({"v": VERSION, **_fields(deployment, credential)})


def matches(header: bytes, deployment: str, credential: Credential) -> bool:
    """Whether the columns still say what the header says.

    A column that the header's version didn't know yet must be empty.
    """
    try:
        sealed = json.loads(header)
    except ValueError:
        return False
    if not isinstance(sealed, dict) or sealed.get("v") not in READABLE:
        return False
    return all(sealed.get(name) == value for name, value in _fields(deployment, credential).items())


def _fields(deployment: str, credential: Credential) -> dict[str, Any]:
    expire = credential.expire_time
    return {
        "deployment": deployment,
        "project": credential.project,
        "credential": credential.credential_id,
        "uid": credential.uid,
        "kind": credential.kind,
        "provider": credential.provider,
        "principal": credential.principal_hint,
        "scope": credential.scope.plain(),
        "expire": None if expire is None else expire.isoformat(),
    }


def canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
