"""A PostgreSQL server of the tests' own: on a socket in a temporary folder, thrown away at the end.

    with running() as server:
        url = server.create("one")                    # postgresql+psycopg://…, an empty database
        url = server.create("two", template="one")    # a copy of it, a few milliseconds later

It runs on the system's binaries, as an unprivileged user when the tests run as root (initdb refuses
root), without fsync, and without listening on any port.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests import needs

_SUPERUSER = "sealmount"
_START_SECONDS = 30.0
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "logging_collector": "off",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; ``folder`` holds its socket and data, ``pid`` is the postmaster's."""

    folder: Path
    pid: int

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{_SUPERUSER}@/{database}?host={quote(str(self.folder))}"

    def create(self, database: str, template: str = "template0") -> str:
        """Makes a database and gives its URL. Nobody may be connected to ``template``."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(database), sql.Identifier(template)
        )
        with self._connect("postgres") as connection:
            connection.execute(statement)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drops it, connections and all."""
        with self._connect("postgres") as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
            )

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.folder), user=_SUPERUSER, dbname=database, autocommit=True
        )


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Starts a server and stops it again. FileNotFoundError where PostgreSQL isn't installed."""
    initdb = needs.path_of("postgresql")
    if initdb is None:
        raise FileNotFoundError(needs.lack("postgresql"))
    # Not pytest's own folder: only its owner may enter that, and the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="sealmount-pg-"))
    user = _unprivileged()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        _init(initdb, folder, user)
        with _server(initdb.parent / "postgres", folder, user) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _init(initdb: Path, folder: Path, user: pwd.struct_passwd | None) -> None:
    arguments = [
        "--pgdata", str(folder / "data"), "--username", _SUPERUSER, "--auth", "trust",
        "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
    ]  # fmt: skip
    subprocess.run(
        [initdb, *arguments], check=True, capture_output=True, timeout=120, cwd=folder,
        user=None if user is None else user.pw_uid, group=None if user is None else user.pw_gid,
    )  # fmt: skip


@contextlib.contextmanager
def _server(postgres: Path, folder: Path, user: pwd.struct_passwd | None) -> Iterator[Postgres]:
    settings = {**_SETTINGS, "unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(postgres), "-D", str(folder / "data"), *options], stdout=log, stderr=log,
            cwd=folder,
            user=None if user is None else user.pw_uid, group=None if user is None else user.pw_gid,
        )  # fmt: skip
    server = Postgres(folder, process.pid)
    try:
        _wait(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # "fast": ends connections, then itself
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait(server: Postgres, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            server._connect("postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError((server.folder / "log").read_text(errors="replace")[-2000:])
