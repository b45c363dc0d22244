"""A SQLite that is too old for the job engine's tables is helped out."""

import sqlite3
import time

import pytest

from serving import oldsqlite


def test_a_default_of_now_is_no_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oldsqlite, "_KNOWS_SUBSEC", (999, 0, 0))
    connection = sqlite3.connect(":memory:")
    oldsqlite.modernise(connection)
    connection.execute(
        "CREATE TABLE t (id INTEGER, at INTEGER NOT NULL DEFAULT (unixepoch('subsec') * 1000))"
    )
    connection.execute("INSERT INTO t (id) VALUES (1)")
    ((at,),) = connection.execute("SELECT at FROM t").fetchall()
    assert abs(at - time.time() * 1000) < 60_000
    connection.close()
