"""The contact sheet: all images on one page, from the bytes that signed URLs gave."""

import io
import math
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

_CELL = 220
_MARGIN = 12
_LABEL = 18
_COLUMNS = 6
MOST = 120


def compose(pictures: Mapping[str, bytes], path: Path) -> int:
    """Writes a PNG to ``path``, keys as labels, and says how many images are on it (at most 120).

    Images that can't be read are left out. Orientation is applied, as a browser would.
    """
    cells: list[Image.Image] = []
    for key, content in sorted(pictures.items())[:MOST]:
        thumbnail = _thumbnail(content)
        if thumbnail is not None:
            cells.append(_cell(key, thumbnail))
    columns = max(1, min(_COLUMNS, len(cells)))
    rows = max(1, math.ceil(len(cells) / columns))
    height = _CELL + _LABEL
    page = Image.new("RGB", (columns * _CELL, rows * height), "#202124")
    for number, cell in enumerate(cells):
        page.paste(cell, (number % columns * _CELL, number // columns * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path, "PNG")
    return len(cells)


def readable(content: bytes) -> bool:
    """Whether an image can be made of the bytes."""
    return _thumbnail(content) is not None


def _thumbnail(content: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    upright.thumbnail((_CELL - 2 * _MARGIN, _CELL - 2 * _MARGIN))
    return upright


def _cell(key: str, thumbnail: Image.Image) -> Image.Image:
    cell = Image.new("RGB", (_CELL, _CELL + _LABEL), "#202124")
    left = (_CELL - thumbnail.width) // 2
    cell.paste(thumbnail, (left, (_CELL - thumbnail.height) // 2))
    # Pillow's own font has no more than Latin letters.
    label = key.encode("ascii", "replace").decode()
    ImageDraw.Draw(cell).text((_MARGIN, _CELL - 2), label[-32:], fill="#bdc1c6")
    return cell
