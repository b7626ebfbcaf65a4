"""Files as collections have them: broken ones, and good ones in unusual encodings."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

from PIL import Image

QUALITY = 88
ORIENTATION = 0x0112
"""The EXIF tag; 6 asks viewers for a quarter turn clockwise."""


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def write_jpeg(image: Image.Image, path: Path) -> None:
    path.write_bytes(_jpeg(image))


def _truncated(image: Image.Image, path: Path) -> None:
    data = _jpeg(image)
    path.write_bytes(data[: len(data) // 2])


def _empty(image: Image.Image, path: Path) -> None:
    path.touch()


def _text(image: Image.Image, path: Path) -> None:
    path.write_text("This is a note that was saved under a picture's name.\n", encoding="utf-8")


def _enormous(image: Image.Image, path: Path) -> None:
    """A header of 40000 x 40000 pixels, more than Pillow opens."""
    data = bytearray(_jpeg(image))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 40_000, 40_000)
    path.write_bytes(data)


def _noise(image: Image.Image, path: Path) -> None:
    path.write_bytes(Random(path.name).randbytes(4096))


def _absent(image: Image.Image, path: Path) -> None:
    """Only the label row is left."""


def _png(image: Image.Image, path: Path) -> None:
    image.save(path, "PNG")


def _greyscale(image: Image.Image, path: Path) -> None:
    write_jpeg(image.convert("L"), path)


def _cmyk(image: Image.Image, path: Path) -> None:
    write_jpeg(image.convert("CMYK"), path)


def _turned(image: Image.Image, path: Path) -> None:
    """Stored on its side, upright once the orientation is applied."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    side = image.transpose(Image.Transpose.ROTATE_90)
    side.save(path, "JPEG", quality=QUALITY, exif=exif)


Writer = Callable[[Image.Image, Path], None]

BROKEN: dict[int, Writer] = {17: _truncated, 58: _empty, 103: _text, 149: _enormous, 211: _noise}
"""By picture number."""
UNUSUAL: dict[int, Writer] = {23: _png, 71: _greyscale, 122: _cmyk, 187: _turned}
MISSING: dict[int, Writer] = {301: _absent}
UNLABELLED = {250}
"""Pictures that the label CSV leaves out."""

WRITERS: dict[int, Writer] = BROKEN | UNUSUAL | MISSING
