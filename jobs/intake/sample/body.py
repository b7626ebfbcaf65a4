"""How a vehicle is described: shapes in metres, the rear at x = 0, the road at y = 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.intake.sample.canvas import Corner


@lru_cache(maxsize=1024)
def path(text: str) -> tuple[Corner, ...]:
    """Read corners, ``"x y rounding, x y, ..."``, in metres; the rounding may be left out."""
    corners = []
    for corner in text.split(","):
        x, y, *rounding = (float(number) for number in corner.split())
        corners.append((x, y, rounding[0] if rounding else 0.0))
    return tuple(corners)


@dataclass(frozen=True)
class Part:
    """One shape in one of the vehicle's colours (see ``cars.COLOURS``); ``glass`` is glazed."""

    colour: str
    path: tuple[Corner, ...]
    stroke: float = 0.0
    """Thickness of a line along the path, in metres; 0 fills the shape."""


def fill(colour: str, *paths: str) -> tuple[Part, ...]:
    return tuple(Part(colour, path(text)) for text in paths)


def stroke(colour: str, thickness: float, *paths: str) -> tuple[Part, ...]:
    return tuple(Part(colour, path(text), thickness) for text in paths)


def row(colour: str, left: float, bottom: float, pitch: float, count: int, shape: str) -> tuple[Part, ...]:
    """Repeat ``shape`` every ``pitch`` metres to the right of (left, bottom)."""
    return tuple(
        Part(colour, tuple((x + left + i * pitch, y + bottom, r) for x, y, r in path(shape)))
        for i in range(count)
    )


@dataclass(frozen=True)
class Lettering:
    """Words written around (x, y); ``size`` is the font's; all in metres."""

    words: str
    x: float
    y: float
    size: float
    colour: str


@dataclass(frozen=True)
class Wheels:
    at: tuple[float, ...]
    radius: float
    rim: str = "alloy"
    """A key of ``wheels.RIMS``."""


@dataclass(frozen=True, eq=False)
class Body:
    """One body shape, facing right; compared by identity, which caches by body rely on."""

    outline: str
    """The painted bodywork, see ``path``."""
    wheels: Wheels
    sill: float
    """Height of the bodywork's lower edge, in metres."""
    behind: tuple[Part, ...] = ()
    """Painted before the bodywork."""
    livery: tuple[Part, ...] = ()
    """Painted on the bodywork and kept within its outline."""
    parts: tuple[Part, ...] = ()
    lettering: tuple[Lettering, ...] = ()
    driver: tuple[float, float] | None = None
    """The middle of the head, seen through glass: (x, y) in metres."""
    lamps: tuple[tuple[float, float], ...] = ()
    """Headlamps, where beams start at night: (x, y) in metres."""
