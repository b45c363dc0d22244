"""The images of the demo: drawn ones with difficult names and headers, or a folder of your own."""

import colorsys
import shutil
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
MOST = 500
# Each name has something that URLs, signatures or file systems stumble over.
_NAMES = (
    "plain.jpg",
    "with spaces in it.jpg",
    "plus+sign.jpg",
    "hash#tag.png",
    "what?.gif",
    "100% sure.webp",
    "a&b=c.jpg",
    "größe/ünïcödé.png",
    "日本/猫.jpg",
    "emoji 😀.png",
    "composed é.jpg",
    "decomposed e\u0301.jpg",
    "deep/er/and/deeper/still.webp",
    "quote'd.png",
    "~tilde~.jpg",
    "UPPER.JPG",
    "(brackets) [square].png",
    "semi;colon,comma.gif",
    "at@sign $dollar.webp",
    "star*!.jpg",
    "%2F is no slash.png",
    "dots...jpg",
    "trailing space .jpg",
    "last-one_24.webp",
)
_SIZES = ((640, 480), (480, 640), (800, 450), (512, 512), (300, 900), (1200, 400))
_EXIF_ORIENTATION = 0x0112
# What undoes the turn that each orientation asks for (Exif 2.32, tag Orientation).
_UNTURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def draw(folder: Path) -> list[str]:
    """Draws 24 pictures below ``folder`` and gives their keys. Each one differs from the others."""
    for number, name in enumerate(_NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(_picture(number, name), path, number)
    return list(_NAMES)


def _picture(number: int, name: str) -> Image.Image:
    width, height = _SIZES[number % len(_SIZES)]
    picture = Image.new("RGB", (width, height), _colour(number, 0.35, 0.95))
    pen = ImageDraw.Draw(picture)
    for ring in range(9):
        inset = ring * min(width, height) // 20
        box = (inset, inset, width - 1 - inset, height - 1 - inset)
        shape = (pen.ellipse, pen.rectangle)[number % 2]
        shape(box, fill=_colour(number + ring, 0.75, 0.55 + 0.05 * ring))
    # The arrow shows whether the orientation in the header was heeded.
    middle = width // 2
    pen.polygon([(middle, 10), (middle - 30, 60), (middle + 30, 60)], fill="white")
    label = name.encode("ascii", "replace").decode()
    pen.text((12, height - 24), f"{number + 1:02} {label}", fill="white")
    return picture


def _colour(step: int, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb((step * 0.137) % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def _save(picture: Image.Image, path: Path, number: int) -> None:
    match path.suffix.lower():
        case ".jpg":
            orientation = number % 8 + 1
            exif = Image.Exif()
            exif[_EXIF_ORIENTATION] = orientation
            # As a camera does: the pixels lie as they were read, and the header says how to turn
            # them. Shown rightly, every arrow points up.
            turn = _UNTURNED.get(orientation)
            lying = picture if turn is None else picture.transpose(turn)
            lying.save(path, "JPEG", quality=88, exif=exif)
        case ".png":
            picture.convert("RGBA").save(path, "PNG")
        case ".gif":
            turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            picture.save(path, "GIF", save_all=True, append_images=[turned], duration=400)
        case _:
            picture.save(path, "WEBP", quality=80, lossless=number % 2 == 0)


def copy(source: Path, folder: Path) -> list[str]:
    """Copies the images below ``source``, at most 500 of them, and gives their keys.

    ValueError when there is none.
    """
    keys = []
    for path in _images(source):
        key = path.relative_to(source).as_posix()
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        keys.append(key)
        if len(keys) == MOST:
            break
    if not keys:
        raise ValueError(f"{source} has no images ({', '.join(sorted(SUFFIXES))})")
    return keys


def _images(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
