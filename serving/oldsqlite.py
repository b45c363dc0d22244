"""What a SQLite that is older than 3.42 lacks.

The job engine's tables have the default ``unixepoch('subsec')`` on Python 3.12 and later. An older
SQLite doesn't know the word ``subsec`` and answers NULL, so that no row could be written. A
function of the same name takes its place on each connection.

Source: https://www.sqlite.org/lang_datefunc.html
"""

import sqlite3
import sys
import time
from typing import Any

_KNOWS_SUBSEC = (3, 42, 0)


def is_old() -> bool:
    """Whether this process needs the help: the job engine uses the word from Python 3.12 on."""
    return sqlite3.sqlite_version_info < _KNOWS_SUBSEC and sys.version_info >= (3, 12)


def modernise(connection: Any) -> None:
    """``connection`` is a DBAPI connection of sqlite3, or SQLAlchemy's stand-in for aiosqlite's."""
    if sqlite3.sqlite_version_info < _KNOWS_SUBSEC:
        connection.create_function("unixepoch", 1, unixepoch)


def unixepoch(word: object) -> float | int | None:
    """Seconds since 1970: with a fraction for ``subsec``, whole ones for ``now``, NULL for all
    else."""
    if word in ("subsec", "subsecond"):
        return time.time()
    return int(time.time()) if word == "now" else None
