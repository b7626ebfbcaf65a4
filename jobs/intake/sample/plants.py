"""Trees and other plants; sizes in units of the stage, places in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

from jobs.intake.sample.canvas import SHADOW, WHITE, Colour, colour, mix, palette, rounded
from jobs.intake.sample.scenery import Stage, along

BARK = colour("684836")
PALM_BARK = colour("7a4f48")

Plant = Callable[[Stage, float, float, float, Colour], None]


def grove(
    stage: Stage,
    plant: Plant,
    gap: tuple[float, float],
    base: float,
    size: tuple[float, float],
    colours: str,
    haze: Colour = WHITE,
    fog: float = 0.0,
) -> None:
    """Plants over the whole width with their feet at ``base``; ``fog`` is the share of haze."""
    leaves, rng = palette(colours), stage.rng
    along(
        stage,
        *gap,
        lambda x: plant(stage, x, base, rng.uniform(*size), mix(rng.choice(leaves), haze, fog)),
    )


def leafy(stage: Stage, x: float, base: float, size: float, leaves: Colour) -> None:
    """A trunk and a crown of overlapping globes, lit from above."""
    canvas, rng, tall = stage.canvas, stage.rng, size * stage.unit
    thick, fork = tall * 0.05, base - tall * 0.5
    trunk = [(x - thick, base), (x + thick, base), (x + thick * 0.6, fork), (x - thick * 0.6, fork)]
    canvas.fill(trunk, BARK)
    crown = [
        (dx + rng.uniform(-0.04, 0.04), dy, r * rng.uniform(0.9, 1.1))
        for dx, dy, r in (
            (0.0, 0.74, 0.26),
            (-0.19, 0.56, 0.2),
            (0.19, 0.56, 0.2),
            (0.02, 0.5, 0.2),
        )
    ]
    shades = (mix(leaves, SHADOW, 0.16), leaves, mix(leaves, WHITE, 0.10))
    for globes, grow, lift, shade in zip(
        (4, 4, 2), (1.0, 0.86, 0.5), (0.0, 0.025, 0.07), shades, strict=True
    ):
        for dx, dy, r in crown[:globes]:
            px, py, radius = x + (dx - lift) * tall, base - (dy + lift) * tall, r * grow * tall
            canvas.ellipse(px, py, radius, radius * 0.95, shade)


def pine(stage: Stage, x: float, base: float, size: float, needles: Colour) -> None:
    """A conifer of four tiers under snow."""
    canvas, tall = stage.canvas, size * stage.unit
    canvas.rectangle(x - tall * 0.03, base - tall * 0.15, x + tall * 0.03, base, BARK)
    for tier in range(4):
        low, half = base - (0.10 + 0.20 * tier) * tall, (0.25 - 0.048 * tier) * tall
        top = base - min(0.48 + 0.20 * tier, 1.0) * tall
        canvas.fill([(x, top), (x + half, low), (x - half, low)], needles)
        canvas.fill([(x, top), (x + half, low), (x + half * 0.2, low)], SHADOW, 0.16)
        cap = ((0, 0), (0.55, 0.55), (0.22, 0.45), (0, 0.6), (-0.28, 0.44), (-0.55, 0.55))
        points = [(x + dx * half, top + dy * (low - top)) for dx, dy in cap]
        canvas.fill(points, WHITE, 0.85)


def palm(stage: Stage, x: float, base: float, size: float, leaves: Colour) -> None:
    """A leaning trunk under a crown of drooping fronds."""
    canvas, rng, tall = stage.canvas, stage.rng, size * stage.unit
    top_x, top_y, half = x + rng.uniform(-0.28, 0.28) * tall, base - tall, tall * 0.028
    edges = [
        rounded(
            (
                (x + side * half, base, 0),
                (x + max(side, 0) * 2 * half, base - tall * 0.6, tall),
                (top_x + side * half * 0.6, top_y, 0),
            ),
            closed=False,
        )
        for side in (-1, 1)
    ]
    canvas.fill([*edges[0], *reversed(edges[1])], mix(PALM_BARK, leaves, 0.3))
    for index in range(9):
        angle = math.pi * (-0.08 + 1.16 * index / 8) + rng.uniform(-0.08, 0.08)
        reach = tall * rng.uniform(0.36, 0.46)
        dx, dy = math.cos(angle), math.sin(angle)
        tip = (top_x + dx * reach, top_y + (0.46 - 0.75 * dy) * reach, 0.0)
        middle_x, middle_y = top_x + dx * reach * 0.62, top_y - (0.34 + 0.5 * dy) * reach
        thick = reach * 0.17
        over = (middle_x + dy * thick, middle_y - abs(dx) * thick, reach)
        under = (middle_x - dy * thick, middle_y + abs(dx) * thick * 1.8, reach)
        frond = rounded(((top_x, top_y, 0.0), over, tip, under))
        canvas.fill(frond, mix(leaves, SHADOW, 0.26 * (index % 2)))


def cactus(stage: Stage, x: float, base: float, size: float, skin: Colour) -> None:
    """A saguaro with two arms."""
    canvas, rng, tall = stage.canvas, stage.rng, size * stage.unit
    thick = tall * 0.16
    limbs = [([(x, base), (x, base - tall)], thick)]
    for side in (-0.24, 0.24):
        low, up = base - rng.uniform(0.3, 0.5) * tall, rng.uniform(0.2, 0.32) * tall
        elbow = x + side * tall
        limbs.append(([(x, low), (elbow, low), (elbow, low - up)], thick * 0.62))
    for points, width in limbs:
        canvas.stroke(points, width, skin)
        for px, py in points[1:]:
            canvas.ellipse(px, py, width / 2, width / 2, skin)
    light = x - thick * 0.18
    canvas.stroke([(light, base), (light, base - tall)], thick * 0.12, mix(skin, WHITE, 0.18))


def bush(stage: Stage, x: float, base: float, size: float, leaves: Colour) -> None:
    """Three low globes."""
    tall = size * stage.unit
    for dx, r, dark in ((-0.6, 0.55, 0.14), (0.6, 0.6, 0.14), (0.0, 0.8, 0.0)):
        px, py, shade = x + dx * tall, base - r * tall * 0.6, mix(leaves, SHADOW, dark)
        stage.canvas.ellipse(px, py, r * tall, r * tall * 0.8, shade)
