"""Decode an untrusted picture to upright RGB, or give the reason why not."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from PIL import ExifTags, Image, UnidentifiedImageError

MAX_PIXELS = 100_000_000
"""Width x height above which a picture is treated as a decompression bomb."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded, whatever the file's name; Pillow's other decoders are not used."""

# Otherwise Pillow loads half of its decoders on first use, which is not thread-safe.
Image.init()

# Pictures over MAX_PIXELS are refused below, so Pillow's own warning has nothing to add.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# What Pillow's decoders raise on broken files; each was seen or is in their plugin contract.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> how to turn the stored pixels upright."""


class BadPictureError(Exception):
    """Why a picture can't be used, in a few words fit for the catalog."""


@dataclass(frozen=True)
class Header:
    """A picture file's header."""

    width: int
    height: int
    mode: str


def read_header(file: BinaryIO) -> Header:
    """Read a picture's size and mode without decoding its pixels.

    Raises BadPictureError with the reason.
    """
    with open_picture(file) as image:
        return Header(image.width, image.height, image.mode)


@contextmanager
def open_picture(file: BinaryIO) -> Iterator[Image.Image]:
    """Open a picture of an accepted format and size; its pixels are not decoded yet.

    Errors of the decoders inside the block become BadPictureError with the reason.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadPictureError(f"too large: {image.width} x {image.height} pixels")
            yield image
    except UnidentifiedImageError as error:
        raise BadPictureError("not a picture of a known format") from error
    except Image.DecompressionBombError as error:
        raise BadPictureError("too large: more pixels than are decoded") from error
    except _DECODER_ERRORS as error:
        text = " ".join(str(error).split())[:120]
        raise BadPictureError(f"cannot be decoded: {text or type(error).__name__}") from error


def orientation(image: Image.Image) -> object:
    """The EXIF orientation: 2 to 8 if the stored pixels are not upright.

    Pillow's own exif_transpose refuses pictures whose EXIF it can't write back.
    """
    return image.getexif().get(ExifTags.Base.Orientation)


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode the first frame of an opened picture to upright RGB, 8 bits per channel.

    EXIF orientation is applied, transparency is put on white, 16-bit values are scaled.
    Raises BadPictureError if pixels have no stated range.
    """
    image.load()
    if (turn := _TURNS.get(orientation(image))) is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I"):
        # Pillow clips 16-bit and 32-bit grey to 255; scale by the 16 bits that files hold.
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
        # A transparent grey given in 16 bits means nothing among 8-bit values.
        image.info.pop("transparency", None)
    elif image.mode == "F":
        raise BadPictureError("cannot be decoded: floating-point pixels have no stated range")
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert("RGB")
