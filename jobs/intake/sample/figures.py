"""Things in scenes that are drawn from shapes: boats, barns, mills, people.

Shapes are in units of the figure's size, its foot in the middle at (0, 0), y upwards.
"""

from __future__ import annotations

import math

from jobs.intake.sample.body import path
from jobs.intake.sample.canvas import Point, colour, rounded
from jobs.intake.sample.scenery import Stage

Figure = tuple[tuple[str, str], ...]
"""(colour, corners as in ``body.path``), back to front; ``-`` stands for the colour asked for."""

SAILING_BOAT: Figure = (
    ("ffffff", "0 .10, 0 1.1, .5 .10"),
    ("f4e2c8", "-.05 .10, -.05 1.0, -.32 .10"),
    ("be463c", "-.42 .10, .6 .10, .42 -.06, -.28 -.06"),
)
BARN: Figure = (
    ("c6ccd2", ".68 0, .68 1.4 .2, 1.03 1.4 .2, 1.03 0"),
    ("b5432f", "-.6 0, -.6 .6, -.38 .92, 0 1.1, .38 .92, .6 .6, .6 0"),
    (
        "7a3b35",
        "-.68 .55, -.41 .96, 0 1.16, .41 .96, .68 .55, .6 .55, .36 .88, 0 1.05, -.36 .88, -.6 .55",
    ),
    ("f3e6d3", "-.22 0, -.22 .5, .22 .5, .22 0"),
    ("7a3b35", "-.18 0, -.18 .46, .18 .46, .18 0"),
    ("f3e6d3", "-.18 0, .15 .46, .18 .46, -.15 0"),
    ("f3e6d3", ".18 0, -.15 .46, -.18 .46, .15 0"),
    ("f3e6d3", "-.1 .68, -.1 .86, .1 .86, .1 .68"),
)
MILL: Figure = (
    ("a86f52", "-.2 0, -.12 .7, .12 .7, .2 0"),
    ("8e5c48", "0 0, 0 .7, .12 .7, .2 0"),
    ("f5efe2", "-.17 .28, -.166 .31, .166 .31, .17 .28"),
    ("5b4a4f", "-.04 0, -.04 .14 .04, .04 .14 .04, .04 0"),
    ("5b4a4f", "-.14 .69, -.1 .88 .1, .1 .88 .1, .14 .69"),
)
MILL_ARM: Figure = (
    ("5b4a4f", "0 -.01, 0 .01, .56 .01, .56 -.01"),
    ("f5efe2", ".12 0, .12 .1, .54 .1, .54 0"),
    ("5b4a4f", ".32 0, .32 .1, .34 .1, .34 0"),
)
PARASOL: Figure = (
    ("f0ece2", "-.03 0, -.03 1, .03 1, .03 0"),
    ("-", "-.7 .75, -.56 1.14 .5, 0 1.36 .5, .56 1.14 .5, .7 .75"),
    ("fff6ee", "-.28 .75, -.22 1.1 .3, 0 1.31 .2, .22 1.1 .3, .28 .75"),
)
WALKER: Figure = (
    ("4a4658", "-.05 0, -.14 .34 .1, -.07 .62 .05, .07 .62 .05, .14 .34 .1, .05 0"),
    ("e2ba9c", "-.08 .62 .08, -.08 .8 .08, .08 .8 .08, .08 .62 .08"),
    ("4a4658", "-.015 .76, -.015 1.2, .015 1.2, .015 .76"),
    ("-", "-.42 .76, -.34 1.04 .3, 0 1.18 .3, .34 1.04 .3, .42 .76"),
)


def figure(
    stage: Stage,
    x: float,
    base: float,
    size: float,
    shapes: Figure,
    own: str = "ffffff",
    turn: float = 0.0,
) -> None:
    """Draw a figure ``size`` units big at (x, base) pixels, turned by ``turn`` radians."""
    scale, cos, sin = size * stage.unit, math.cos(turn), math.sin(turn)

    def at(point: Point) -> Point:
        px, py = point
        return x + (px * cos - py * sin) * scale, base - (px * sin + py * cos) * scale

    for code, corners in shapes:
        points = [at(point) for point in rounded(path(corners))]
        stage.canvas.fill(points, colour(own if code == "-" else code))


def windmill(stage: Stage, x: float, base: float, size: float) -> None:
    figure(stage, x, base, size, MILL)
    turn = stage.rng.uniform(0, math.pi / 2)
    for arm in range(4):
        hub = base - 0.78 * size * stage.unit
        figure(stage, x, hub, size, MILL_ARM, turn=turn + arm * math.pi / 2)
