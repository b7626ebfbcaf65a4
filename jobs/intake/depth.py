"""Grey of more than 8 bits a pixel, of signed numbers or of floats: which values are black and white."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

_BITS = (8, 10, 12, 14, 15, 16, 24, 31, 32)
WHITE_IS_ZERO, SIGNED = 0, 2
"""How a TIFF says that its values are those of a negative, or signed."""
DARK = 1 / 16
"""Floats that all lie below this share of a range aren't taken for values of it."""


def is_deep(image: Image.Image) -> bool:
    """Whether the image is one for ``to_8_bits``."""
    return image.mode.startswith("I") or image.mode == "F" or (image.mode == "L" and _is_signed(image))


def to_8_bits(image: Image.Image) -> Image.Image | None:
    """Scale grey pixels of the modes ``I``, ``I;16`` and ``F``, and of signed ones, to 0 to 255 by what they
    hold; None if no pixel is a finite number.

    Files seldom say how many of their bits are used. White is the highest value of the fewest bits (8, 10,
    12, 14, 15, 16, 24, 31, 32) that hold all pixels; of floats 1 or 255. Where values are negative, or floats
    are outside these or all dark, the lowest is black and the highest white. NaN counts as the lowest.
    """
    values = np.asarray(image)
    # Pillow takes both as the other kind: unsigned numbers of 32 bits, and signed ones of 8.
    if isinstance(image, TiffImageFile) and values.dtype == np.int32 and not _is_signed(image):
        values = values.view(np.uint32)
    elif values.dtype == np.uint8:
        values = values.view(np.int8)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        low = float(values.min(where=finite, initial=np.inf))
        high = float(values.max(where=finite, initial=-np.inf))
        if low > high:
            return None
        white = next((white for white in (1.0, 255.0) if white * DARK <= high <= white), None)
    else:
        low, high = float(values.min()), float(values.max())
        white = next((2.0**bits - 1 for bits in _BITS if high < 2**bits), None)
    black = 0.0
    if low < 0 or white is None:
        black, white = low, max(high, low + 1e-30)
    # In place: a copy of 100 million floats is 400 MB.
    scaled = values.astype(np.float32)
    np.nan_to_num(scaled, copy=False, nan=black, posinf=white, neginf=black)
    scaled -= np.float32(black)
    scaled *= np.float32(255 / (white - black)) if white > black else 0
    scaled += 0.5
    grey = scaled.clip(0, 255, out=scaled).astype(np.uint8)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        grey = 255 - grey
    return Image.fromarray(grey)


def _is_signed(image: Image.Image) -> bool:
    return isinstance(image, TiffImageFile) and image.tag_v2.get(SAMPLEFORMAT, (1,))[0] == SIGNED
