"""Sky, water and land that scenes are built of, and the stage they stand on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from jobs.intake.sample.canvas import SHADOW, WHITE, Canvas, Colour, Point, even, mix, palette, rounded


@dataclass(frozen=True)
class Stage:
    """Where a picture is painted, and its random numbers; lengths in pixels."""

    canvas: Canvas
    rng: Random
    horizon: float
    """From the top."""
    ground: float
    """Where the vehicle stands, from the top."""
    unit: float
    """What sizes in scenes are fractions of: about the picture's shorter side."""

    @property
    def width(self) -> int:
        return self.canvas.width

    @property
    def far_edge(self) -> float:
        """Where the road starts, from the top."""
        return self.ground - 0.06 * self.unit

    @property
    def near_edge(self) -> float:
        """Where the road ends, from the top."""
        return min(self.ground + 0.085 * self.unit, self.canvas.height)

    def below(self, share: float) -> float:
        """The place ``share`` units below the horizon, in pixels from the top."""
        return self.horizon + share * self.unit

    def many(self, count: int) -> range:
        """To repeat what is strewn over the width: ``count`` times for each unit of it."""
        return range(int(count * self.width / self.unit))

    def across(self, low: float = 0.0, high: float = 1.0) -> float:
        """A random place between two fractions of the width, in pixels."""
        return self.rng.uniform(low, high) * self.width

    def band(self, top: float, bottom: float, colours: str) -> None:
        """A ramp over the whole width, between two heights in pixels."""
        self.canvas.band(top, bottom, even(*palette(colours)))


def sky(stage: Stage, *variants: str) -> tuple[Colour, ...]:
    """Paint one of the given ramps, from the top to the horizon, and return its colours."""
    colours = palette(stage.rng.choice(variants))
    stage.canvas.band(0, stage.horizon, even(*colours))
    stage.canvas.rectangle(0, stage.horizon - 1, stage.width, stage.ground, colours[-1])
    return colours


def sun(stage: Stage, colour: Colour, radius: float, low: float, high: float) -> float:
    """A disc with a halo; ``radius`` in units, ``low`` to ``high`` fractions of the sky from
    the top. Returns where it is across, in pixels."""
    x, y, size = stage.across(0.1, 0.9), stage.rng.uniform(low, high) * stage.horizon, radius
    stage.canvas.glow(x, y, size * stage.unit * 5, colour, 0.5)
    stage.canvas.ellipse(x, y, size * stage.unit, size * stage.unit, colour)
    return x


def clouds(stage: Stage, colour: Colour = WHITE, alpha: float = 0.9, most: int = 4) -> None:
    """Flat-bottomed heaps in the upper sky."""
    rng = stage.rng
    for _ in range(rng.randint(1, round(most * max(stage.horizon / stage.unit, 0.7)))):
        x, y = stage.across(), rng.uniform(0.08, 0.6) * stage.horizon
        length = rng.uniform(0.16, 0.4) * stage.unit
        humps = [(rng.uniform(-0.30, 0.30), rng.uniform(0.10, 0.2)) for _ in range(4)]
        humps += [(-0.42, 0.08), (0.42, 0.08), (rng.uniform(-0.12, 0.12), 0.24)]
        outline = []
        for step in range(61):
            place = step / 60 - 0.5
            tops = (max(r * r - (place - middle) ** 2, 0) ** 0.5 for middle, r in humps)
            outline.append((x + place * length, y - max(tops) * length))
        stage.canvas.fill(outline, colour, alpha)


def birds(stage: Stage) -> None:
    """A small flock, or none."""
    rng, unit, span = stage.rng, stage.unit, 0.014 * stage.unit
    x, y = stage.across(0.1, 0.9), rng.uniform(0.15, 0.6) * stage.horizon
    for _ in range(rng.choice((0, 0, 3, 5))):
        left, top = x + rng.uniform(-0.12, 0.12) * unit, y + rng.uniform(-0.05, 0.05) * unit
        wings = ((-1, -0.5, 0), (-0.4, -0.7, 1), (0, 0, 0), (0.4, -0.7, 1), (1, -0.5, 0))
        corners = tuple((left + dx * span, top + dy * span, r * span) for dx, dy, r in wings)
        stage.canvas.stroke(rounded(corners, closed=False), 0.004 * unit, SHADOW, 0.7)


def ridge(
    stage: Stage, base: float, height: float, colours: str, bumps: float, foot: float | None = None
) -> None:
    """Rolling land from ``base`` (pixels) up to ``height`` units more, with about ``bumps`` tops.

    It reaches down to ``foot`` (pixels), the ground where none is given.
    """
    rng = stage.rng
    waves = [(rng.uniform(0.6, 1.2) * bumps * n, rng.uniform(0, math.tau), 1 / n) for n in (1, 2, 3)]
    total = sum(weight for _, _, weight in waves)
    points = []
    for step in range(41):
        swing = sum(w * math.sin(math.tau * f * step / 40 + p) for f, p, w in waves) / total
        points.append((step / 40 * stage.width, base - height * stage.unit * (0.5 + 0.5 * swing)))
    bottom = stage.ground if foot is None else foot
    corners = [(stage.width, bottom), (0, bottom)]
    stage.canvas.shade([*points, *corners], even(*palette(colours)))


def peaks(stage: Stage, base: float, height: float, rock: Colour, snow: Colour | None) -> None:
    """Sharp mountains with a lit and a shadowed face, up to ``height`` units, some with snow."""
    rng, canvas, unit = stage.rng, stage.canvas, stage.unit
    x = -rng.uniform(0, 0.3) * unit
    while x < stage.width + 0.2 * unit:
        tall = height * unit * rng.uniform(0.55, 1.0)
        half = tall * rng.uniform(0.8, 1.15)
        crease = rng.uniform(0.0, 0.25)

        def face(*places: Point, x: float = x, half: float = half, tall: float = tall) -> list[Point]:
            """Points by (how far aside at the foot, how far down), both 0 to 1."""
            return [(x + side * down * half, base - tall + down * tall) for side, down in places]

        canvas.fill(face((0, 0), (1, 1), (-1, 1)), rock)
        canvas.fill(face((0, 0), (1, 1), (crease, 1)), mix(rock, SHADOW, 0.16))
        if snow:
            d = rng.uniform(0.34, 0.46)
            edge = (crease, d * 0.72)
            lit = face((0, 0), edge, (-0.4, d * 1.15), (-0.6, d * 0.7), (-1, d))
            canvas.fill(lit, snow)
            dark = face((0, 0), (1, d * 0.9), (0.6, d * 0.62), (0.4, d), edge)
            canvas.fill(dark, mix(snow, rock, 0.35))
        x += half * rng.uniform(0.8, 1.2)


def glints(stage: Stage, count: int, top: float, bottom: float) -> None:
    """Light on water between two heights (pixels), longer near the viewer."""
    for _ in stage.many(count):
        share = stage.rng.random() ** 1.5
        x, y = stage.across(), top + share * (bottom - top)
        half = (0.008 + 0.03 * share) * stage.unit
        stage.canvas.rectangle(x - half, y, x + half, y + 0.004 * stage.unit, WHITE, 0.35)


def along(stage: Stage, low: float, high: float, paint: Callable[[float], None]) -> None:
    """Call ``paint`` with places (pixels) from left to right, ``low`` to ``high`` units apart."""
    x = -stage.rng.uniform(0, high) * stage.unit
    while x < stage.width + high * stage.unit:
        paint(x)
        x += stage.rng.uniform(low, high) * stage.unit


def scatter(
    stage: Stage,
    count: int,
    top: float,
    bottom: float,
    colour: Colour,
    size: float,
    alpha: float = 1.0,
) -> None:
    """Dots of ``size`` units between two heights (pixels)."""
    for _ in stage.many(count):
        r = size * stage.unit * stage.rng.uniform(0.5, 1.0)
        y = stage.rng.uniform(top, bottom)
        stage.canvas.ellipse(stage.across(), y, r, r, colour, alpha)
