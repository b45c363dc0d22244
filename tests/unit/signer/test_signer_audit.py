"""The audit log: chains that can't be edited, and a file that is never left half written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.audit.record import Chain
from signer.audit.sink import FileSink
from signer.audit.verify import last_record, verify
from tests.fakes.audit_log import MAC, Log

SCHEMA = {
    *("step", "time", "rpc", "caller", "on_behalf_of", "request", "project", "resource", "gen"),
    *("revision", "credential", "method", "audience", "keys", "versions", "not_after", "reason"),
    *("v", "writer", "seq", "prev", "mac"),
}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "audit.jsonl")


async def test_what_was_written_is_whole(log: Log) -> None:
    await log.write("one", 20)
    await log.write("two", 3, durable=True)
    report = log.verify()
    assert (report.problems, report.records, report.chains) == ([], 27, 2)
    assert (report.generation, report.open_ends) == (23, 0)


async def test_a_record_has_every_field_each_time(log: Log) -> None:
    await log.write("one", 2)
    records = [json.loads(line) for line in log.lines()]
    assert [set(record) for record in records[1:3]] == [SCHEMA, SCHEMA]
    assert [record["seq"] for record in records] == [0, 1, 2, 3]
    assert [record["step"] for record in records] == ["START", "SIGNED", "SIGNED", "STOP"]


Edit = Callable[[list[bytes]], list[bytes]]
EDITS: dict[str, Edit] = {
    "edited": lambda x: [*x[:2], x[2].replace(b"2.jpg", b"9.jpg"), *x[3:]],
    "another caller": lambda x: [*x[:2], x[2].replace(b"org/x", b"org/y"), *x[3:]],
    "cut in the middle": lambda x: x[:2] + x[3:],
    "cut at the beginning": lambda x: x[1:],
    "beginning of the second chain cut": lambda x: x[:6] + x[7:],
    "second chain's end and third's start cut": lambda x: x[:9] + x[11:],
    "a whole chain cut": lambda x: x[:6] + x[10:],
    "swapped": lambda x: [x[0], x[2], x[1], *x[3:]],
    "put in twice": lambda x: [*x[:3], x[2], *x[3:]],
    "chains swapped": lambda x: x[6:10] + x[:6] + x[10:],
    "a blank line": lambda x: [*x[:2], b"\n", *x[2:]],
    "garbage": lambda x: [*x[:2], b"\xff{]\n", *x[2:]],
    "nested": lambda x: [*x[:2], b"[" * 100_000 + b"\n", *x[2:]],
    "a lone surrogate": lambda x: [*x[:2], b'{"writer":"\\ud800","gen":"x"}\n', *x[2:]],
    "numbers that are none": lambda x: [
        *x[:2],
        b'{"writer":"one","seq":"x","gen":"1e9","prev":"","mac":""}\n',
        *x[2:],
    ],
    "code taken off": lambda x: [*x[:2], _without(x[2], "mac"), *x[3:]],
    "made up": lambda x: [*x, _invented()],
}


def _without(line: bytes, name: str) -> bytes:
    record = json.loads(line)
    del record[name]
    return json.dumps(record).encode() + b"\n"


def _invented() -> bytes:
    """A chain of somebody who has no key."""
    chain = Chain("mine", lambda previous, record: bytes(32))
    return chain.link({"step": "START", "gen": 5, "after": None})


@pytest.mark.parametrize("edit", EDITS)
async def test_edits_are_found(log: Log, edit: str) -> None:
    for writer, count in (("one", 4), ("two", 2), ("three", 2)):
        await log.write(writer, count)
    assert log.verify().problems == []
    assert log.rewrite(EDITS[edit](log.lines())).problems != []


async def test_a_foreign_chain_with_the_right_keys_is_found(log: Log, tmp_path: Path) -> None:
    """Another file of the same deployment, or an old one: the database knows each beginning."""
    await log.write("one", 2)
    other = Log(tmp_path / "other.jsonl")
    await other.write("two", 2)
    assert log.rewrite(log.lines() + other.lines()).problems
    log.anchors.update(other.anchors)
    assert log.verify().problems  # it doesn't name the end of the chain before it, either


async def test_a_chain_that_the_database_does_not_know_is_found(log: Log) -> None:
    """Rightly chained and rightly placed, by somebody with the keys and without the database."""
    await log.write("one", 2)
    await log.write("two", 2)
    assert log.verify().problems == []
    del log.anchors["two"]
    assert log.verify().problems == ["line 5: begins a chain that the database doesn't know"]


async def test_a_cut_end_is_an_open_end(log: Log) -> None:
    await log.write("one", 5)
    report = log.rewrite(log.lines()[:-2])
    assert (report.problems, report.open_ends) == ([], 1)


@pytest.mark.parametrize("left", [1, 10, 200])
async def test_half_a_line_that_a_kill_left_is_mended(log: Log, left: int) -> None:
    await log.write("one", 3, stop=False)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + log.lines()[-1][:left])
    await log.write("two", 2)
    assert log.path.read_bytes().startswith(whole)
    report = log.verify()
    assert (report.problems, report.chains, report.open_ends) == ([], 2, 1)


async def test_a_file_that_is_nothing_but_half_a_line_is_begun_anew(log: Log) -> None:
    log.path.write_bytes(b"x" * 200_000)
    await log.write("one", 1)
    assert log.verify().problems == []


async def test_a_second_writer_is_refused(log: Log) -> None:
    sink = FileSink(log.path, Chain("one", MAC), durable=False)
    with pytest.raises(BlockingIOError):
        FileSink(log.path, Chain("two", MAC), durable=False)
    sink.close(5.0)


def test_the_file_is_its_owners_alone(log: Log) -> None:
    FileSink(log.path, Chain("one", MAC), durable=False).close(5.0)
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_the_last_generation_is_found_at_the_end_of_a_hostile_file(log: Log) -> None:
    log.path.write_bytes(b'{"gen":"abc"}\n{"gen":[1]}\n{"gen":7,"mac":"m"}\n{"gen":null}\n[]\n{')
    last, generation = last_record(log.path)
    assert generation == 7
    assert last == {"writer": None, "seq": None, "mac": None}
    assert last_record(log.path.with_name("missing")) == (None, 0)


async def test_an_emptied_log_is_found(log: Log) -> None:
    await log.write("one", 3)
    report = log.rewrite([])
    assert report.problems == ["the chain of writer one is missing"]


async def test_a_log_that_ends_before_the_database_is_found(log: Log) -> None:
    await log.write("one", 3)
    kept = log.lines()[:2]
    log.path.write_bytes(b"".join(kept))
    report = verify(log.path, MAC, log.anchors, generation=3)
    assert report.problems == ["the log ends at generation 1, the database is at 3"]


async def test_files_that_were_moved_away_are_read_first(log: Log, tmp_path: Path) -> None:
    await log.write("one", 3)
    older = log.path.rename(tmp_path / "older.jsonl")
    await log.write("two", 3)
    assert verify([older, log.path], MAC, log.anchors, generation=3).chains == 2
    assert verify(log.path, MAC, log.anchors).problems == ["the chain of writer one is missing"]
