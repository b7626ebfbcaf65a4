"""A supersampled canvas: curves, ramps and translucent fills, in pixels of the final picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SUPERSAMPLING = 2

Colour = tuple[int, int, int]
Point = tuple[float, float]
Corner = tuple[float, float, float]
"""x, y, and the length of either edge that the rounding takes; one unit for all three."""
Ramp = Sequence[tuple[float, Colour]]
"""Stops of a vertical gradient: (fraction of the height from the top, colour)."""

SHADOW: Colour = (18, 22, 40)
WHITE: Colour = (255, 255, 255)

_FADE = Image.radial_gradient("L").point(lambda value: round(max(1 - value / 179, 0) ** 2 * 255))
"""White in the middle, black from the rim of the inscribed circle on."""


@lru_cache(maxsize=1024)
def colour(code: str) -> Colour:
    """Read one hexadecimal colour, ``"ff8800"``."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def palette(text: str) -> tuple[Colour, ...]:
    """Read hexadecimal colours, ``"ff8800 204060"``."""
    return tuple(colour(code) for code in text.split())


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours; ``share`` is the fraction of ``other``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def even(*colours: Colour) -> Ramp:
    """A ramp through colours at even distances."""
    return [(index / (len(colours) - 1), colour) for index, colour in enumerate(colours)]


@lru_cache(maxsize=1024)
def rounded(corners: tuple[Corner, ...], closed: bool = True) -> tuple[Point, ...]:
    """Round a polygon's corners by quadratic Béziers, in the unit of the corners."""
    count = len(corners)
    points: list[Point] = []
    for index, (x, y, rounding) in enumerate(corners):
        at_end = not closed and index in (0, count - 1)
        if not rounding or at_end:
            points.append((x, y))
            continue
        before, after = corners[index - 1], corners[(index + 1) % count]
        (ax, ay), (bx, by) = (_towards((x, y), end[:2], rounding) for end in (before, after))
        for step in range(7):
            t = step / 6
            a, c, b = (1 - t) ** 2, 2 * t * (1 - t), t * t
            points.append((a * ax + c * x + b * bx, a * ay + c * y + b * by))
    return tuple(points)


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end) or 1.0
    share = min(distance / length, 0.5)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Canvas:
    """Painted back to front. ``tint`` scales red, green and blue of every colour."""

    def __init__(self, width: int, height: int, tint: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        self.width = width
        self.height = height
        self._tint = tint
        self._origin = (0, 0)
        self._use(Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING)))

    def _use(self, image: Image.Image) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image, "RGBA")

    def _at(self, points: Sequence[Point]) -> list[Point]:
        left, top = self._origin
        return [(x * SUPERSAMPLING - left, y * SUPERSAMPLING - top) for x, y in points]

    def _tinted(self, colour: Colour, alpha: float) -> tuple[int, int, int, int]:
        red, green, blue = (min(round(c * f), 255) for c, f in zip(colour, self._tint, strict=True))
        return red, green, blue, round(alpha * 255)

    def fill(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        self._draw.polygon(self._at(points), fill=self._tinted(colour, alpha))

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, alpha: float = 1.0) -> None:
        thickness = max(round(width * SUPERSAMPLING), 1)
        joint = "curve" if thickness > 4 and len(points) > 2 else None
        self._draw.line(self._at(points), self._tinted(colour, alpha), thickness, joint=joint)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1.0) -> None:
        corners = self._at([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse(corners, fill=self._tinted(colour, alpha))

    def rectangle(
        self, x1: float, y1: float, x2: float, y2: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        if x2 > x1 and y2 > y1:
            self._draw.rectangle(self._at([(x1, y1), (x2, y2)]), fill=self._tinted(colour, alpha))

    def glow(self, x: float, y: float, radius: float, colour: Colour, alpha: float) -> None:
        """A light that fades out at ``radius``; ``alpha`` is its strength in the middle."""
        size = max(round(radius * SUPERSAMPLING * 2), 2)
        mask = _FADE.resize((size, size)).point(lambda value: int(value * alpha))
        left, top = self._at([(x - radius, y - radius)])[0]
        self._image.paste(self._tinted(colour, 1.0)[:3], (round(left), round(top)), mask)

    def band(self, top: float, bottom: float, ramp: Ramp) -> None:
        """A ramp over the whole width."""
        self._ramp((0, round(top), self.width, round(bottom)), ramp)

    def _ramp(self, box: tuple[int, int, int, int], ramp: Ramp) -> None:
        left, top, right, bottom = (edge * SUPERSAMPLING for edge in box)
        if bottom <= top:
            return
        places = [place for place, _ in ramp]
        colours = np.array([self._tinted(colour, 1.0)[:3] for _, colour in ramp])
        rows = np.linspace(0.0, 1.0, bottom - top)
        column = np.stack([np.interp(rows, places, colours[:, c]) for c in range(3)], axis=1)
        strip = Image.fromarray(column[:, None].round().astype(np.uint8))
        wide = strip.resize((right - left, bottom - top), Image.Resampling.NEAREST)
        self._image.paste(wide, (left - self._origin[0], top - self._origin[1]))

    @contextmanager
    def clip(self, points: Sequence[Point], ramp: Ramp) -> Iterator[None]:
        """Fill a shape by a ramp; what is painted inside the block stays within the shape."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        box = (math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys)))
        corner = (box[0] * SUPERSAMPLING, box[1] * SUPERSAMPLING)
        size = ((box[2] - box[0]) * SUPERSAMPLING, (box[3] - box[1]) * SUPERSAMPLING)
        outer_image, outer_origin = self._image, self._origin
        self._origin = corner
        self._use(Image.new("RGB", size))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon(self._at(points), fill=255)
        self._ramp(box, ramp)
        yield
        layer, self._origin = self._image, outer_origin
        self._use(outer_image)
        place = (corner[0] - outer_origin[0], corner[1] - outer_origin[1])
        outer_image.paste(layer, place, mask)

    def shade(self, points: Sequence[Point], ramp: Ramp) -> None:
        """Fill a shape by a ramp from its top to its bottom."""
        with self.clip(points, ramp):
            pass

    def text(self, words: str, x: float, y: float, size: float, colour: Colour) -> None:
        """Write around the middle (x, y); ``size`` is the font's, in pixels."""
        font = _font(max(round(size * SUPERSAMPLING), 6))
        self._draw.text(self._at([(x, y)])[0], words, fill=self._tinted(colour, 1.0), font=font, anchor="mm")

    def mirror_below(self, y: float, depth: float, alpha: float) -> None:
        """Blend what stands above the line ``y`` upside down into the ``depth`` pixels below."""
        line, reach = round(y) * SUPERSAMPLING, round(depth) * SUPERSAMPLING
        reach = min(reach, self._image.height - line, line)
        above = self._image.crop((0, line - reach, self._image.width, line))
        below = (0, line, self._image.width, line + reach)
        upside_down = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        self._image.paste(Image.blend(self._image.crop(below), upside_down, alpha), below)

    def picture(self) -> Image.Image:
        return self._image.reduce(SUPERSAMPLING)
