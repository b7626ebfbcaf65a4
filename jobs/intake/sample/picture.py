"""Draws one picture of the sample; the same seed and number give the same picture."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

from PIL import Image

from jobs.intake.sample.canvas import SHADOW, WHITE, Canvas, Colour, mix
from jobs.intake.sample.cars import Pose, Vehicle, extent
from jobs.intake.sample.kinds import KINDS
from jobs.intake.sample.scenery import Stage

SIZES = (
    (240, 180),
    (320, 240),
    (400, 300),
    (480, 360),
    (560, 420),
    (640, 480),
    (800, 600),
    (480, 320),
    (600, 400),
    (640, 360),
    (720, 360),
    (400, 400),
    (512, 512),
    (360, 450),
    (480, 600),
)
"""Width and height in pixels, before each is varied a little."""


class Drawing(NamedTuple):
    image: Image.Image
    box: tuple[int, int, int, int]
    """The vehicle's left, top, right and bottom, in pixels."""
    kind: int
    """Index in ``KINDS``."""


def draw_picture(seed: int, number: int) -> Drawing:
    """Draw picture ``number`` (from 1) of the sample of ``seed``.

    Neighbouring numbers show different kinds: each round of ``len(KINDS)`` numbers
    shows every kind once.
    """
    rng = Random(f"{seed}/{number}")
    kind_index = _kind_of(seed, number)
    kind = KINDS[kind_index]

    wide, high = rng.choice(SIZES)
    width, height = (round(side * rng.uniform(0.92, 1.0)) for side in (wide, high))
    canvas = Canvas(width, height, _tint(rng))
    unit = min(height, width * 0.95)
    ground = height - rng.uniform(0.13, 0.2) * unit
    stage = Stage(canvas, rng, ground - rng.uniform(0.18, 0.27) * unit, ground, unit)
    kind.scene.paint(stage)

    left, _, right, top = extent(kind.body)
    scale = min(rng.uniform(0.62, 0.84) * width / (right - left), rng.uniform(0.4, 0.5) * unit / top)
    x = rng.uniform(0.04, 0.96) * (width - (right - left) * scale)
    paint, second = _varied(kind.paint, rng), _varied(kind.second, rng)
    pose = Pose(x, ground, scale, rng.random() < 0.5, rng.uniform(0, math.tau))
    Vehicle(canvas, kind.body, paint, second, kind.scene.light, pose).draw()
    if kind.scene.veil:
        kind.scene.veil(stage)
    box = (
        max(math.floor(x), 0),
        max(math.floor(ground - top * scale), 0),
        min(math.ceil(x + (right - left) * scale), width),
        min(math.ceil(ground), height),
    )
    return Drawing(canvas.picture(), box, kind_index)


def _kind_of(seed: int, number: int) -> int:
    turn, place = divmod(number - 1, len(KINDS))
    order = list(range(len(KINDS)))
    Random(f"{seed}/order/{turn}").shuffle(order)
    return order[place]


def _tint(rng: Random) -> tuple[float, float, float]:
    brightness = rng.uniform(0.97, 1.04)
    red, green, blue = (brightness * rng.uniform(0.975, 1.02) for _ in range(3))
    return red, green, blue


def _varied(colour: Colour, rng: Random) -> Colour:
    return mix(colour, rng.choice((WHITE, SHADOW)), rng.uniform(0.0, 0.12))
