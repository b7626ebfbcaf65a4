"""Picture files for tests: small, each with a content of its own, and some that are broken."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 0x0112
"""EXIF's tag."""
FORMAT_OF_SUFFIX = {".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF"}


def picture(seed: int = 0, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """An RGB picture of ``size`` (width, height) with random pixels; equal for equal seeds."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def write_picture(path: Path, seed: int = 0, size: tuple[int, int] = (24, 16)) -> Path:
    """Write ``picture(seed, size)`` in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    format = FORMAT_OF_SUFFIX.get(path.suffix, path.suffix[1:].upper())
    path.write_bytes(encoded(picture(seed, size), format))
    return path


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Write ``count`` different JPEGs ``000.jpg``, ``001.jpg`` ..."""
    return [write_picture(folder / f"{number:03d}.jpg", number) for number in range(count)]


def cut_jpeg(seed: int = 0) -> bytes:
    """A JPEG that ends within its pixels: its header is whole."""
    whole = encoded(picture(seed, (64, 64)), "JPEG")
    return whole[: len(whole) // 2]


def png(
    width: int,
    height: int,
    depth: int,
    color: int,
    rows: bytes = b"",
    extra: tuple[bytes, bytes] | None = None,
) -> bytes:
    """A PNG whose header says so; ``rows`` are its scanlines, each after its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), *([extra] if extra else []), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def icc_profile(space: bytes, **renamed: bytes) -> bytes:
    """sRGB's profile with another colour space and other names of its tags; curves are straight."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = space
    for number in range(int.from_bytes(profile[128:132])):
        entry = 132 + 12 * number
        name, start = profile[entry : entry + 4].decode(), int.from_bytes(profile[entry + 4 : entry + 8])
        if name.endswith("TRC"):
            profile[start : start + 12] = b"curv" + bytes(8)
        profile[entry : entry + 4] = renamed.get(name, name.encode())
    return bytes(profile)


BLUE_FIRST = icc_profile(b"RGB ", rXYZ=b"bXYZ", bXYZ=b"rXYZ")
"""A profile by which the first channel is blue and the last is red, and values are light itself."""
LINEAR_GREY = icc_profile(b"GRAY", rTRC=b"kTRC")
"""A profile by which grey values are light itself: half of the light is 188 in sRGB."""


def jpeg_that_claims(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    whole = encoded(picture(), "JPEG")
    frame = whole.index(b"\xff\xc0")
    return whole[: frame + 5] + struct.pack(">HH", height, width) + whole[frame + 9 :]


def corrupted(content: bytes, chance: random.Random) -> bytes:
    """Overwrite, cut out or cut off some bytes, more often in the header."""
    broken = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        where = chance.randrange(chance.choice((64, len(broken))) if len(broken) > 64 else len(broken))
        match chance.randrange(6):
            case 0:
                del broken[max(1, where) :]
            case 1:
                del broken[where : where + chance.randrange(1, 9)]
            case _:
                broken[where] = chance.choice((0, 1, 128, 255, chance.randrange(256)))
        broken = broken or bytearray(b"\0")
    return bytes(broken)
