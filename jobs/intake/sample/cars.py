"""Paints a vehicle: metres to pixels, its colours in the scene's light, wheels and shadow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jobs.intake.sample.body import Body, Part, path
from jobs.intake.sample.canvas import SHADOW, WHITE, Canvas, Colour, Point, Ramp, colour, even, mix, rounded
from jobs.intake.sample.wheels import ARCH, RIMS, SIDEWALL, TYRE, spokes

COLOURS: dict[str, Colour] = {
    name: colour(code)
    for name, code in (
        ("black", "1f2229"),
        ("grey", "565d69"),
        ("silver", "98a2b0"),
        ("chrome", "d5dbe3"),
        ("white", "f6f5f0"),
        ("cream", "f3e3c2"),
        ("gold", "f2b632"),
        ("navy", "1d2f5e"),
        ("wood", "8a5a34"),
        ("straw", "e3b85c"),
        ("skin", "e8b48c"),
        ("scarf", "e8505b"),
        ("curtain", "e9c46a"),
        ("child", "3b4257"),
        ("shutter", "c3cad4"),
        ("bumper", "3a3f4a"),
        ("handle", "e9edf2"),
        ("lamp", "fff2c0"),
        ("tail", "d92b34"),
        ("sign", "ffe98a"),
        ("beacon_red", "ff3b46"),
        ("beacon_blue", "3f8cff"),
    )
}
"""What no kind paints anew; ``Vehicle`` adds the paint and its shades."""
EMISSIVE = {"lamp", "tail", "sign", "beacon_red", "beacon_blue"}


@dataclass(frozen=True)
class Light:
    """How a scene lights the vehicle."""

    ambient: Colour = WHITE
    """What white looks like in it."""
    sky: Colour = (214, 234, 246)
    """Mirrored by glass and the upper bodywork."""
    lamps: bool = False
    """Whether headlamps and the like are on."""
    shadow: float = 0.5
    """Opacity under the vehicle, 0 to 1."""


@dataclass(frozen=True)
class Pose:
    """How a vehicle stands in the picture."""

    left: float
    """Of its leftmost part, in pixels."""
    ground: float
    """Where the wheels stand, in pixels from the top."""
    scale: float
    """Pixels a metre."""
    faces_left: bool
    turn: float
    """Of the wheels, in radians."""


class Vehicle:
    """One vehicle on a canvas, painted by ``draw``."""

    def __init__(
        self, canvas: Canvas, body: Body, paint: Colour, second: Colour, light: Light, pose: Pose
    ) -> None:
        self._canvas, self._body, self._light = canvas, body, light
        self._scale, self._ground, self._turn = pose.scale, pose.ground, pose.turn
        rear, _, front, _ = extent(body)
        self._sign = -1 if pose.faces_left else 1
        self._zero = pose.left + (front if pose.faces_left else -rear) * pose.scale
        self._colours = COLOURS | {
            "paint": paint,
            "second": second,
            "fender": mix(paint, WHITE, 0.08),
            "light": mix(paint, WHITE, 0.3),
            "dark": mix(paint, SHADOW, 0.45),
            "seam": mix(paint, SHADOW, 0.4),
        }

    def draw(self) -> None:
        self._shadow()
        for part in self._body.behind:
            self._part(part)
        with self._canvas.clip(self._at(rounded(path(self._body.outline))), self._bodywork()):
            for part in self._body.livery:
                self._part(part)
        for part in self._body.parts:
            self._part(part)
        for words in self._body.lettering:
            ((x, y),) = self._at([(words.x, words.y)])
            self._canvas.text(words.words, x, y, words.size * self._scale, self._lit(words.colour))
        for x in self._body.wheels.at:
            self._wheel(x)
        if self._light.lamps:
            self._beams()

    def _at(self, points: Sequence[Point]) -> list[Point]:
        zero, step = self._zero, self._sign * self._scale
        return [(zero + x * step, self._ground - y * self._scale) for x, y in points]

    def _lit(self, name: str) -> Colour:
        if self._light.lamps and name in EMISSIVE:
            return self._colours[name]
        return self._shaded(self._colours[name])

    def _shaded(self, own: Colour) -> Colour:
        red, green, blue = (c * a // 255 for c, a in zip(own, self._light.ambient, strict=True))
        return red, green, blue

    def _bodywork(self) -> Ramp:
        paint, shade = self._lit("paint"), mix(self._lit("paint"), SHADOW, 0.34)
        return even(mix(paint, self._light.sky, 0.22), paint, paint, shade)

    def _part(self, part: Part) -> None:
        points = self._at(rounded(part.path, closed=not part.stroke))
        if part.stroke:
            self._canvas.stroke(points, part.stroke * self._scale, self._lit(part.colour))
        elif part.colour == "glass":
            self._glass(points)
        else:
            self._canvas.fill(points, self._lit(part.colour))

    def _glass(self, points: Sequence[Point]) -> None:
        """Glazed: the sky above, the dark inside below, and two slanted reflections."""
        sky = self._light.sky
        top, bottom = mix(sky, (70, 100, 128), 0.55), mix(sky, (24, 32, 48), 0.80)
        high, low = min(y for _, y in points), max(y for _, y in points)
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        slant = (low - high) * 0.55
        with self._canvas.clip(points, even(top, bottom)):
            self._driver()
            for start, width in ((0.30, 0.22), (0.62, 0.08)):
                x = left + (right - left) * start
                far = x + (right - left) * width
                stripe = [(x + slant, high), (far + slant, high), (far, low), (x, low)]
                self._canvas.fill(stripe, WHITE, 0.20)

    def _driver(self) -> None:
        if self._body.driver:
            head_x, head_y = self._body.driver
            (x, y), (_, shoulders) = self._at([(head_x, head_y), (head_x, head_y - 0.34)])
            size = 0.12 * self._scale
            self._canvas.ellipse(x, y, size, size * 1.15, SHADOW, 0.55)
            self._canvas.ellipse(x, shoulders, size * 2.2, size * 1.7, SHADOW, 0.55)

    def _wheel(self, x: float) -> None:
        wheels, canvas, scale = self._body.wheels, self._canvas, self._scale
        radius = wheels.radius
        reach = radius * 1.16
        low = math.asin((self._body.sill - radius) / reach)
        arch = [
            (x + reach * math.cos(angle), radius + reach * math.sin(angle))
            for angle in (low + (math.pi - 2 * low) * step / 24 for step in range(25))
        ]
        canvas.fill(self._at(arch), self._shaded(ARCH))
        ((cx, cy),) = self._at([(x, radius)])
        for share, ring in ((1.0, TYRE), (0.84, SIDEWALL), *RIMS[wheels.rim]):
            size = share * radius * scale
            canvas.ellipse(cx, cy, size, size, self._shaded(ring))
        for spoke in spokes(radius, wheels.rim, self._turn):
            canvas.fill(self._at([(x + dx, radius + dy) for dx, dy in spoke]), self._lit("chrome"))
        hub = 0.15 * radius * scale
        canvas.ellipse(cx, cy, hub, hub, self._lit("grey"))

    def _shadow(self) -> None:
        left, _, right, _ = extent(self._body)
        ((x, y),) = self._at([((left + right) / 2, 0.02)])
        for ring in range(7):
            rx = (right - left) * self._scale * (0.46 + 0.012 * ring)
            ry = self._scale * (0.08 + 0.03 * ring)
            self._canvas.ellipse(x, y, rx, ry, SHADOW, self._light.shadow / 5)
        first, last = self._body.wheels.at[0], self._body.wheels.at[-1]
        top = self._body.sill + 0.05
        underside = [(first, top), (last, top), (last, 0.12), (first, 0.12)]
        self._canvas.fill(self._at(underside), self._shaded(ARCH))

    def _beams(self) -> None:
        for x, y in self._body.lamps:
            for step in range(1, 9):
                reach = 0.4 * step
                beam = [(x, y + 0.06), (x + reach, y + 0.08 * reach), (x + reach, 0), (x, y - 0.06)]
                self._canvas.fill(self._at(beam), COLOURS["lamp"], 0.045)
            ((px, py),) = self._at([(x, y)])
            self._canvas.glow(px, py, 0.8 * self._scale, COLOURS["lamp"], 0.8)


@lru_cache
def extent(body: Body) -> tuple[float, float, float, float]:
    """The vehicle's bounding box with all its parts: left, bottom, right, top in metres."""
    points = [
        point
        for shape in (path(body.outline), *(part.path for part in (*body.behind, *body.parts)))
        for point in rounded(shape)
    ]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), 0.0, max(xs), max(ys)
