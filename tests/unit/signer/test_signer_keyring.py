"""The keyring file: who may own it, what may stand in it, and what its keys open."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from signer.sealing.keks import KekRefused, KekUnavailable, WrappedKey
from signer.sealing.keyring import LocalKeyring, add_version, create

KEY = b"data-key" * 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    create(path)
    return path


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_what_was_wrapped_is_unwrapped(path: Path) -> None:
    keyring = LocalKeyring(path)
    wrapped = await keyring.wrap(KEY, b"context")
    assert await keyring.current() == wrapped.ref == "keyring/k1"
    assert await keyring.unwrap(wrapped, b"context") == KEY
    assert KEY not in wrapped.blob
    assert (await keyring.wrap(KEY, b"context")).blob != wrapped.blob


async def test_the_context_is_under_the_seal(path: Path) -> None:
    keyring = LocalKeyring(path)
    wrapped = await keyring.wrap(KEY, b"context")
    with pytest.raises(KekRefused):
        await keyring.unwrap(wrapped, b"another")


@pytest.mark.parametrize("at", range(0, 60, 7))
async def test_a_changed_bit_is_refused(path: Path, at: int) -> None:
    keyring = LocalKeyring(path)
    wrapped = await keyring.wrap(KEY, b"c")
    blob = bytearray(wrapped.blob)
    blob[at % len(blob)] ^= 1
    with pytest.raises(KekRefused):
        await keyring.unwrap(WrappedKey(wrapped.ref, bytes(blob)), b"c")


@pytest.mark.parametrize("size", [0, 1, 12, 27, 28, 59])
async def test_a_cut_key_is_refused(path: Path, size: int) -> None:
    keyring = LocalKeyring(path)
    wrapped = await keyring.wrap(KEY, b"c")
    with pytest.raises(KekRefused):
        await keyring.unwrap(WrappedKey(wrapped.ref, wrapped.blob[:size]), b"c")


@pytest.mark.parametrize("ref", ["keyring/k2", "k1", "aws-kms/k1", "", "keyring/", "keyring/k1 "])
async def test_an_unknown_reference_fails_closed(path: Path, ref: str) -> None:
    keyring = LocalKeyring(path)
    wrapped = await keyring.wrap(KEY, b"c")
    with pytest.raises(KekRefused):
        await keyring.unwrap(WrappedKey(ref, wrapped.blob), b"c")


async def test_a_new_version_wraps_and_the_old_one_still_opens(path: Path) -> None:
    old = await LocalKeyring(path).wrap(KEY, b"c")
    assert add_version(path) == "keyring/k2"
    keyring = LocalKeyring(path)
    new = await keyring.wrap(KEY, b"c")
    assert new.ref == "keyring/k2"
    assert await keyring.unwrap(old, b"c") == await keyring.unwrap(new, b"c") == KEY
    assert mode_of(path) == 0o400
    assert [p.name for p in path.parent.iterdir()] == [path.name]


async def test_a_version_of_another_keyring_is_refused(path: Path, tmp_path: Path) -> None:
    create(tmp_path / "other.json")
    wrapped = await LocalKeyring(tmp_path / "other.json").wrap(KEY, b"c")
    with pytest.raises(KekRefused):
        await LocalKeyring(path).unwrap(wrapped, b"c")


async def test_a_keyring_that_appears_later_is_read_then(tmp_path: Path) -> None:
    keyring = LocalKeyring(tmp_path / "later.json")
    with pytest.raises(KekUnavailable):
        await keyring.current()
    create(tmp_path / "later.json")
    assert await keyring.current() == "keyring/k1"


def test_a_keyring_is_never_written_over(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create(path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o620, 0o602, 0o410, 0o777])
async def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    os.chmod(path, mode)  # noqa: PTH101
    with pytest.raises(KekUnavailable):
        await LocalKeyring(path).current()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_of_another_user_is_refused(path: Path) -> None:
    os.chown(path, 12345, 12345)
    with pytest.raises(KekUnavailable):
        await LocalKeyring(path).current()


async def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(KekUnavailable):
        await LocalKeyring(link).current()


@pytest.mark.timeout(10)
async def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o400)
    with pytest.raises(KekUnavailable):
        await LocalKeyring(tmp_path / "pipe").current()


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KekUnavailable):
        await LocalKeyring(tmp_path).current()


GOOD: dict[str, Any] = {
    "version": 1,
    "current": "k1",
    "keys": {"k1": base64.b64encode(b"k" * 32).decode()},
}
WRONG: list[dict[str, Any]] = [
    {"version": 2},
    {"version": "1"},
    {"current": "k2"},
    {"current": []},
    {"current": {}},
    {"keys": []},
    {"keys": {}},
    {"keys": {"k1": 1}},
    {"keys": {"k1": "x"}},
    {"keys": {"k1": base64.b64encode(b"k" * 16).decode()}},
    {"keys": {"k1": base64.b64encode(b"k" * 33).decode()}},
    {"keys": {"k1": GOOD["keys"]["k1"], "../k2": GOOD["keys"]["k1"]}},
    {"keys": {"k1": GOOD["keys"]["k1"] + "\n"}},
]
GARBAGE = [
    b"",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"{",
    b"[" * 50_000,
    json.dumps(GOOD).encode() + b"x",
    b" " * 70_000 + json.dumps(GOOD).encode(),
    *(json.dumps(GOOD | change).encode() for change in WRONG),
]


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_refused_without_repeating_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keyring.json"
    path.write_bytes(content)
    path.chmod(0o400)
    with pytest.raises(KekUnavailable) as caught:
        await LocalKeyring(path).current()
    assert str(caught.value) == "the keyring file isn't one"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_good_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    path.write_text(json.dumps(GOOD))
    path.chmod(0o600)
    assert await LocalKeyring(path).current() == "keyring/k1"
