"""Decode an untrusted picture to upright RGB, or give the reason why not."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pillow_heif
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile

from jobs.base.limits import limit
from jobs.intake.bmp import alpha_of
from jobs.intake.colour import to_srgb
from jobs.intake.depth import is_deep, to_8_bits

MAX_PIXELS = 100_000_000
"""Width x height above which a picture is treated as a decompression bomb; ``LOOKALIKE_MAX_PIXELS``
sets another limit."""
SCALED_LIMIT = 2.5
"""How many times as many pixels a JPEG may have: it is decoded at a smaller scale."""
SCALED_ABOVE = 50_000_000
"""Width x height above which a JPEG is decoded at 1/2, 1/4 or 1/8."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""What is decoded, whatever the file's name; Pillow's other decoders are not used."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
"""How HEIC and AVIF files say what they are, after ``ftyp``."""

# Otherwise Pillow loads half of its decoders on first use, which is not thread-safe.
Image.init()
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _pass_over(stream: PngImagePlugin.PngStream, position: int, length: int) -> bytes:
    assert stream.fp is not None  # it is open
    return ImageFile._safe_read(stream.fp, length)


# A PNG's texts say nothing of its pixels, and Pillow refuses pictures whose texts are long.
for _chunk in ("tEXt", "zTXt", "iTXt"):
    setattr(PngImagePlugin.PngStream, f"chunk_{_chunk}", _pass_over)

# Larger pictures are refused below, so Pillow's own warning has nothing to add.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# A picture's size and pixels are known without the rest of its EXIF.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)

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
    RuntimeError,
    struct.error,
    zlib.error,
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


def _unknown(file: BinaryIO) -> str:
    """The reason why no decoder takes ``file``."""
    file.seek(0)
    start = file.read(12)
    if start[4:8] == b"ftyp" and start[8:] in HEIF_BRANDS:
        return "cannot be decoded: a damaged HEIC or AVIF file"
    return "not a picture of a known format"


@contextmanager
def open_picture(file: BinaryIO) -> Iterator[Image.Image]:
    """Open a picture of an accepted format and size; its pixels are not decoded yet.

    Errors of the decoders inside the block become BadPictureError with the reason. Raises LookalikeError if
    the limit that the environment sets is no number.
    """
    max_pixels = limit("LOOKALIKE_MAX_PIXELS", MAX_PIXELS)
    # Pillow would refuse large JPEGs, though they are decoded at a smaller scale.
    Image.MAX_IMAGE_PIXELS = int(SCALED_LIMIT * max_pixels)
    try:
        with Image.open(file, formats=FORMATS) as image:
            most = Image.MAX_IMAGE_PIXELS if is_jpeg(image) else max_pixels
            if image.width * image.height > most:
                raise BadPictureError(
                    f"too large: {image.width} x {image.height} pixels, and at most {most:,} are decoded"
                )
            yield image
    except UnidentifiedImageError as error:
        raise BadPictureError(_unknown(file)) from error
    except Image.DecompressionBombError as error:
        raise BadPictureError("too large: more pixels than are decoded") from error
    except MemoryError as error:
        raise BadPictureError("cannot be decoded: it takes more memory than there is") from error
    except _DECODER_ERRORS as error:
        raise BadPictureError("cannot be decoded: the file is cut off, damaged or of a rare kind") from error


def is_jpeg(image: Image.Image) -> bool:
    """Whether the first picture in the file is a JPEG; phones put several into one file (MPO)."""
    return image.format in ("JPEG", "MPO")


def scale(image: Image.Image) -> int:
    """By how much a JPEG is made smaller while it is decoded: 1, 2, 4 or 8."""
    pixels = image.width * image.height
    return next((scale for scale in (1, 2, 4) if pixels <= SCALED_ABOVE * scale**2), 8)


def profile_of(image: Image.Image) -> bytes | None:
    """The ICC profile of an opened picture, if ``to_rgb`` leaves its pixels in the profile's colours."""
    profile: bytes | None = image.info.get("icc_profile")
    if not profile or image.mode == "CMYK":
        return None
    # A profile of grey says nothing of colours, nor the other way round.
    grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
    return profile if (profile[16:20] == b"GRAY") == grey else None


def orientation(image: Image.Image) -> object:
    """The EXIF orientation: 2 to 8 if the stored pixels are not upright.

    Pillow's own exif_transpose refuses pictures whose EXIF it can't write back.
    """
    return image.getexif().get(ExifTags.Base.Orientation)


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode the first frame of an opened picture to upright RGB, 8 bits per channel.

    If it gives other pixels than before, ``DECODING`` of jobs/embedding/model.py has to be raised.
    EXIF orientation is applied, transparency is put on white, grey of more bits is scaled by ``to_8_bits``.
    Colours are those of the picture's profile, but CMYK is made sRGB: see ``profile_of``. A JPEG is decoded
    at 1/``scale``.
    """
    if is_jpeg(image):
        times = scale(image)
        image.draft(None, (image.width // times, image.height // times))
    frame = image.tile[0].extents if isinstance(image, GifImageFile) and image.tile else None
    if isinstance(image, BmpImageFile) and image.fp:
        alpha, image = alpha_of(image.fp), image.convert("RGB")
        if alpha:
            image.putalpha(alpha)
    image.load()
    if frame and frame != (0, 0, *image.size):
        image = _on_white(image.crop(frame), image.size, frame)
    turn = _TURNS.get(orientation(image))
    if is_deep(image):
        # Without what its info says: a transparent grey given in 16 bits means nothing among 8-bit values.
        grey = to_8_bits(image)
        if grey is None:
            raise BadPictureError("cannot be decoded: no pixel is a finite number")
        image = grey
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "CMYK":
        return to_srgb(image, image.info.get("icc_profile"))
    if image.has_transparency_data:
        image = _on_white(image, image.size, (0, 0, *image.size))
    return image.convert("RGB")


def _on_white(image: Image.Image, size: tuple[int, int], where: tuple[int, int, int, int]) -> Image.Image:
    ground = Image.new("RGB", size, "white")
    pasted = image.convert("RGBA")
    ground.paste(pasted, where, pasted)
    return ground
