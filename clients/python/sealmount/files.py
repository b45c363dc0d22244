"""Files that are either there as a whole or not at all."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int, replace: bool) -> None:
    """Writes ``content`` beside ``path`` and moves it there; ``mode`` holds from the first byte.

    Without ``replace`` an existing file is left alone, with FileExistsError, also when another
    process makes it at the same moment.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask is
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
