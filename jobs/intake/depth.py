"""Grey pictures of more than 8 bits a pixel, or of floats: which values are black and white."""

from __future__ import annotations

import numpy as np
from PIL import Image

_BITS = (8, 10, 12, 14, 15, 16, 24, 31)
DARK = 1 / 16
"""Floats that all lie below this share of a range aren't taken for values of it."""


def to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey pixels of the modes ``I``, ``I;16`` and ``F`` to 0 to 255 by what they hold.

    Files seldom say how many of their bits are used. White is the highest value of the fewest bits (8, 10,
    12, 14, 15, 16, 24, 31) that hold all pixels; of floats 1 or 255. Where values are negative, or floats
    are outside these or all dark, the lowest is black and the highest white. NaN is black.
    """
    values = np.asarray(image)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        low = float(values.min(where=finite, initial=np.inf))
        high = float(values.max(where=finite, initial=-np.inf))
        if low > high:  # none is finite
            low = high = 0.0
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
    return Image.fromarray(scaled.clip(0, 255, out=scaled).astype(np.uint8))
