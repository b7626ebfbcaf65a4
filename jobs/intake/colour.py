"""From the colours that a picture's ICC profile describes to sRGB, which is what networks have seen."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 16_000_000
"""A larger profile is not read."""
NEARLY_SRGB = 3
"""The most that a value (0 to 255) may change by a profile that is passed over."""

_SRGB = ImageCms.createProfile("sRGB")
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of a profile -> the mode of the pixels that it describes."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert RGB or CMYK pixels, of any number, by their profile; the result is RGB.

    Pixels of a grey picture are three equal values. RGB pixels without a profile, or with one that can't be
    read, is of another colour space or is nearly sRGB, are as they were. Little of it is lost by converting
    a picture after it was made smaller, which is far quicker.
    """
    transform = _transform(profile) if profile else None
    if transform is None:
        return image.convert("RGB")
    given = transform.input_mode
    if image.mode != given and "CMYK" in (image.mode, given):
        return image.convert("RGB")
    return ImageCms.applyTransform(image.convert(given), transform) or image


@lru_cache(maxsize=64)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """None if there is nothing to convert. Transforms are cached: most photos have one of few profiles."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        described = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(described.profile.xcolor_space, "")
        transform = ImageCms.buildTransform(described, _SRGB, mode, "RGB") if mode else None
    except (OSError, ImageCms.PyCMSError):
        return None
    if transform is None or mode != "RGB":
        return transform
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    probe = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3))
    changed = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int) - np.asarray(probe)
    return transform if abs(changed).max() > NEARLY_SRGB else None
