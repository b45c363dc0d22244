"""The search for secrets finds each spelling, wherever it stands."""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from sealmount.demo.stores import Key
from sealmount.demo.traces import forms, search

SECRET = "wJalrXUtnFEMI+/K7MDENG/+bPxRfiCYEXAMPLEKEY"
RAW = SECRET.encode()


@pytest.mark.parametrize(
    "planted",
    [
        RAW,
        RAW.hex().encode(),
        RAW.hex().upper().encode(),
        quote(SECRET, safe="").encode(),
        *(base64.b64encode(b"x" * n + RAW + b"tail") for n in range(4)),
        *(base64.urlsafe_b64encode(b"x" * n + RAW) for n in range(4)),
    ],
)
def test_each_spelling_is_found(tmp_path: Path, planted: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.db").write_bytes(b"\0before" + planted + b"after\xff")
    found = search(tmp_path, [SECRET])
    assert {path.name for path, _ in found.hits} == {"file.db"}
    assert found.files == 1


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(base64.b64encode(RAW[::-1]) + RAW[1:])
    found = search(tmp_path, [SECRET])
    assert found.hits == ()
    assert found.forms == len(forms(SECRET))


def test_files_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(RAW)
    assert search(tmp_path, [SECRET], without=[tmp_path / "a"]).files == 0


def test_the_demo_keys_are_in_the_form_of_amazon_and_keep_quiet() -> None:
    key = Key.random()
    assert len(key.access_key_id) == 20
    assert len(key.secret_access_key) == 40
    assert key.secret_access_key not in repr(key)
    assert quote(key.secret_access_key, safe="") != key.secret_access_key
    assert Key.random() != key
