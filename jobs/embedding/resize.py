"""From a picture file's bytes to the square that is embedded.

Equal to Pillow's decoders and torchvision's transforms on Pillow's images, except that values are
rounded to 8 bits, at more than twice the speed: libjpeg-turbo decodes straight into an array,
and 8-bit pixels are resized by vector instructions. Torchvision itself is not imported, which would
take seconds.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from jobs.embedding.backbones import Backbone
from jobs.intake.colour import to_srgb
from jobs.intake.decode import (
    MAX_PIXELS,
    BadPictureError,
    is_jpeg,
    open_picture,
    orientation,
    profile_of,
    scale,
    to_rgb,
)

MAX_ASPECT = 16

Pixels = torch.Tensor
"""(3, height, width) uint8, RGB."""

# EXIF orientation -> how to turn the stored pixels upright.
_UPRIGHT: dict[object, Callable[[Pixels], Pixels]] = {
    2: lambda stored: stored.flip(2),
    3: lambda stored: stored.flip(1, 2),
    4: lambda stored: stored.flip(1),
    5: lambda stored: stored.transpose(1, 2),
    6: lambda stored: stored.transpose(1, 2).flip(2),
    7: lambda stored: stored.transpose(1, 2).flip(1, 2),
    8: lambda stored: stored.transpose(1, 2).flip(1),
}


def resized(content: bytes, backbone: Backbone, geometry: str) -> NDArray[np.uint8]:
    """Decode a picture file's bytes and resize them to what ``backbone`` embeds: (side, side, 3) RGB.

    Raises BadPictureError with the reason.
    """
    with open_picture(io.BytesIO(content)) as image:
        profile, pixels = profile_of(image), _decoded(image, content)
    try:
        rows: NDArray[np.uint8] = resize(pixels, backbone, geometry, profile).permute(1, 2, 0).numpy()
    except (MemoryError, RuntimeError) as error:
        # What PyTorch raises if memory is short, too.
        said = " ".join(str(error).split())[:120] or "not enough memory"
        raise BadPictureError(f"cannot be resized: {said}") from error
    return rows


def decode(content: bytes) -> Pixels:
    """Decode a picture to upright RGB in its own colours, its first frame.

    jobs/intake/decode.py says what is accepted. Raises BadPictureError with the reason.
    """
    with open_picture(io.BytesIO(content)) as image:
        return _decoded(image, content)


def _decoded(image: Image.Image, content: bytes) -> Pixels:
    if is_jpeg(image) and image.mode in ("RGB", "L"):
        upright = _UPRIGHT.get(orientation(image))
        times = scale(image)
        try:
            decoded = simplejpeg.decode_jpeg(
                content, strict=True, min_height=image.height // times, min_width=image.width // times
            )
        except ValueError:
            pass  # Pillow decides what can't be decoded, and says why.
        else:
            stored = _pixels(decoded)
            return upright(stored) if upright else stored
    return from_image(to_rgb(image))


def from_image(image: Image.Image) -> Pixels:
    """The pixels of an RGB picture that Pillow holds."""
    return _pixels(np.array(image))


def _pixels(rows: NDArray[np.uint8]) -> Pixels:
    return torch.from_numpy(rows).permute(2, 0, 1)


def resize(pixels: Pixels, backbone: Backbone, geometry: str, profile: bytes | None = None) -> Pixels:
    """Resize pixels of any size to (3, side, side) by a geometry of jobs/base/options.py.

    What remains of the picture is converted to sRGB by its ICC ``profile``.
    """
    return _RESIZE[geometry](pixels, backbone, profile)


def _scale(pixels: Pixels, height: int, width: int, profile: bytes | None) -> Pixels:
    if pixels.shape[1] * width > MAX_PIXELS:
        # Rows are scaled first. Where they are short and very many, that would make gigabytes of them.
        pixels = functional.interpolate(
            pixels[None], (height, pixels.shape[2]), mode="bilinear", antialias=True
        )[0]
    scaled = functional.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0]
    if profile is None:
        return scaled
    return from_image(to_srgb(Image.fromarray(scaled.permute(1, 2, 0).contiguous().numpy()), profile))


def _cut(pixels: Pixels, height: int, width: int) -> Pixels:
    """The centre, rounded as torchvision rounds it."""
    top, left = round((pixels.shape[1] - height) / 2), round((pixels.shape[2] - width) / 2)
    return pixels[:, top : top + height, left : left + width]


def _squash(pixels: Pixels, backbone: Backbone, profile: bytes | None) -> Pixels:
    return _scale(pixels, backbone.side, backbone.side, profile)


def _crop(pixels: Pixels, backbone: Backbone, profile: bytes | None) -> Pixels:
    # A very long, thin picture would be scaled to gigabytes; only its centre is kept anyway.
    longest = MAX_ASPECT * min(pixels.shape[1:])
    centre = _cut(pixels, *(min(longest, side) for side in pixels.shape[1:]))
    shorter = min(centre.shape[1:])
    height, width = (backbone.crop * side // shorter for side in centre.shape[1:])
    return _cut(_scale(centre, height, width, profile), backbone.side, backbone.side)


def _pad(pixels: Pixels, backbone: Backbone, profile: bytes | None) -> Pixels:
    side = backbone.side
    shrink = side / max(pixels.shape[1:])
    height, width = (max(1, round(length * shrink)) for length in pixels.shape[1:])
    padded = torch.tensor([round(255 * mean) for mean in backbone.mean], dtype=torch.uint8)
    padded = padded[:, None, None].repeat(1, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    padded[:, top : top + height, left : left + width] = _scale(pixels, height, width, profile)
    return padded


_RESIZE = {"squash": _squash, "crop": _crop, "pad": _pad}
