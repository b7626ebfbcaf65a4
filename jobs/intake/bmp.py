"""The transparency of BMP pictures, as browsers see it."""

from __future__ import annotations

import struct
from typing import IO

import numpy as np
from PIL import Image

_UNCOMPRESSED, _BITFIELDS = 0, 3
_WORDS = {16: "<u2", 32: "<u4"}


def alpha_of(file: IO[bytes]) -> Image.Image | None:
    """The alpha channel of a BMP of 16 or 32 bits a pixel whose header says where it lies (8 bits, mode L).

    None if there is none, or if all of it is 0: many programs leave it empty. Pillow heeds it only in some
    files. Raises ValueError if the file is cut off.
    """
    file.seek(0)
    header = file.read(70)
    if len(header) < 70:
        return None
    start, size, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", header, 10)
    (mask,) = struct.unpack_from("<I", header, 66)
    if size < 56 or bits not in _WORDS or compression not in (_UNCOMPRESSED, _BITFIELDS) or not mask:
        return None
    stride = (width * bits + 31) // 32 * 4
    file.seek(start)
    rows = np.frombuffer(file.read(stride * abs(height)), _WORDS[bits]).reshape(abs(height), -1)[:, :width]
    alpha = rows & mask
    if not alpha.any():
        return None
    scaled = Image.fromarray((alpha * (255 / mask)).round().astype(np.uint8))
    return scaled if height < 0 else scaled.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
