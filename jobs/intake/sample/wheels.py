"""Wheels and the arches they stand in."""

from __future__ import annotations

import math

from jobs.intake.sample.canvas import Colour, palette

TYRE, TREAD, SIDEWALL, ARCH = palette("23252b 15161a 35383f 14151b")
SPOKES = {"alloy": (5, 0.24), "steel": (8, 0.11), "cap": (0, 0.0), "whitewall": (0, 0.0)}
"""Their number, and half the angle that one takes at the rim, in radians."""

RIMS: dict[str, tuple[tuple[float, Colour], ...]] = {
    name: tuple(zip(radii, palette(colours), strict=True))
    for name, radii, colours in (
        ("alloy", (0.68, 0.62), "c9d0da 454b57"),
        ("steel", (0.62, 0.54, 0.26), "c3cad3 4c525e 8d95a1"),
        ("cap", (0.66, 0.58, 0.44, 0.22), "8e97a6 dfe5ec b3bcc9 f1f4f8"),
        ("whitewall", (0.80, 0.62, 0.54, 0.34), "f3f1ea 3a3d45 dfe5ec a8b1bf"),
    )
}
"""Rings from the outside in: (fraction of the wheel's radius, colour)."""


def spokes(radius: float, rim: str, turn: float) -> list[list[tuple[float, float]]]:
    """Tapered spokes around the hub, in the unit of ``radius``; ``turn`` in radians."""
    count, half = SPOKES[rim]
    shapes = []
    for index in range(count):
        angle = turn + 2 * math.pi * index / count
        shapes.append(
            [
                (length * radius * math.cos(angle + side), length * radius * math.sin(angle + side))
                for length, side in ((0.16, -0.9), (0.63, -half), (0.63, half), (0.16, 0.9))
            ]
        )
    return shapes
