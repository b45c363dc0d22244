"""The demo's pictures and the page made of them."""

import hashlib
from pathlib import Path

import pytest
from PIL import Image
from sealmount.demo import pictures, sheet


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    pictures.draw(folder)
    return folder


def test_no_two_pictures_are_alike(drawn: Path) -> None:
    files = [path for path in drawn.rglob("*") if path.is_file()]
    assert len(files) == 24
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in files}) == 24


def test_they_are_of_every_kind_and_some_are_turned(drawn: Path) -> None:
    formats, orientations = set(), set()
    for path in drawn.rglob("*.*"):
        with Image.open(path) as picture:
            formats.add(picture.format)
            orientations.add(picture.getexif().get(0x0112, 1))
    assert formats == {"JPEG", "PNG", "GIF", "WEBP"}
    assert len(orientations) > 3


def test_your_own_images_are_copied_with_their_names(tmp_path: Path, drawn: Path) -> None:
    source = tmp_path / "source"
    for name in ("a b/c+d.JPG", ".hidden/x.jpg", "notes.txt", "z.png"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((drawn / "plain.jpg").read_bytes())
    assert pictures.copy(source, tmp_path / "store") == ["a b/c+d.JPG", "z.png"]
    assert (tmp_path / "store" / "a b" / "c+d.JPG").stat().st_size > 0


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_without_images_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=folder):
        pictures.copy(tmp_path / folder, tmp_path / "store")


def test_the_sheet_has_what_can_be_read(tmp_path: Path, drawn: Path) -> None:
    files = {p.name: p.read_bytes() for p in drawn.rglob("*.*")}
    page = tmp_path / "out" / "sheet.png"
    broken = b"\xff\xd8 no image"
    assert sheet.compose({**files, "broken.jpg": broken}, page) == len(files)
    assert [sheet.readable(c) for c in (*files.values(), broken)] == [True] * len(files) + [False]
    with Image.open(page) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 400
        assert len(picture.convert("RGB").getcolors(1_000_000) or []) > 1000


def test_an_empty_sheet_is_still_a_picture(tmp_path: Path) -> None:
    assert sheet.compose({}, tmp_path / "sheet.png") == 0
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.format == "PNG"
