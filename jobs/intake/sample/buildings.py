"""Houses, towers and street lamps; sizes in units of the stage, places in pixels."""

from __future__ import annotations

from jobs.intake.sample.canvas import SHADOW, WHITE, Canvas, Colour, colour, mix, palette
from jobs.intake.sample.scenery import Stage, along

ROOFS = palette("b5523b 8e4a3f 6b5b73 4f6578 a8683f")
DOORS = palette("2f6f73 8a3b3b 3d4f7a 6b4a33")
PANE = colour("78a0b8")

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def windows(canvas: Canvas, box: Box, columns: int, rows: int, colours: list[Colour], share: float) -> None:
    """A grid of panes; each takes ``share`` of its cell's width and height."""
    left, top, right, bottom = box
    wide, tall = (right - left) / columns, (bottom - top) / rows
    half_x, half_y = wide * share / 2, tall * share / 2
    for index, pane in enumerate(colours):
        x = left + (index % columns + 0.5) * wide
        y = top + (index // columns + 0.5) * tall
        canvas.rectangle(x - half_x, y - half_y, x + half_x, y + half_y, pane)


def skyline(
    stage: Stage,
    base: float,
    low: float,
    high: float,
    walls: tuple[Colour, ...],
    panes: tuple[Colour, ...] = (),
) -> None:
    """Towers side by side over the whole width, ``low`` to ``high`` units tall."""
    rng, unit = stage.rng, stage.unit
    x = -rng.uniform(0, 0.1) * unit
    while x < stage.width:
        right = x + rng.uniform(0.10, 0.2) * unit
        top = base - rng.uniform(low, high) * unit
        _tower(stage, (x, top, right, base), rng.choice(walls), panes)
        x = right + rng.uniform(0.0, 0.03) * unit


def _tower(stage: Stage, box: Box, wall: Colour, panes: tuple[Colour, ...]) -> None:
    canvas, rng, unit = stage.canvas, stage.rng, stage.unit
    left, top, right, base = box
    wide, tall = right - left, base - top
    canvas.rectangle(*box, wall)
    canvas.rectangle(left + wide * 0.82, top, right, base, SHADOW, 0.12)
    crown = rng.choice(("flat", "spire", "slant", "ledge"))
    if crown == "spire":
        middle, roof = left + wide / 2, top - tall * 0.06
        canvas.rectangle(left + wide * 0.2, roof, right - wide * 0.2, top, wall)
        canvas.stroke([(middle, roof), (middle, roof - tall * 0.14)], 0.006 * unit, wall)
    elif crown == "slant":
        canvas.fill([(left, top), (right, top), (right, top - wide * 0.35)], wall)
    elif crown == "ledge":
        over, lit = wide * 0.04, mix(wall, WHITE, 0.2)
        canvas.rectangle(left - over, top, right + over, top + 0.015 * unit, lit)
    if panes:
        rows, columns = max(int(tall / unit / 0.042), 2), max(int(wide / unit / 0.035), 2)
        inside = (left + wide * 0.08, top + 0.02 * unit, right - wide * 0.08, base)
        windows(canvas, inside, columns, rows, rng.choices(panes, k=rows * columns), 0.55)


def house(stage: Stage, x: float, base: float, width: float, wall: Colour) -> float:
    """A gabled or hipped house of two floors; returns its right edge."""
    canvas, rng, unit = stage.canvas, stage.rng, stage.unit
    wide, tall = width * unit, rng.uniform(0.24, 0.32) * unit
    top, right, over = base - tall, x + wide, 0.018 * unit
    roof, trim = rng.choice(ROOFS), mix(wall, WHITE, 0.6)
    high = top - rng.uniform(0.08, 0.14) * unit
    chimney, brick = x + wide * rng.choice((0.22, 0.7)), mix(roof, SHADOW, 0.25)
    canvas.rectangle(chimney, high - 0.01 * unit, chimney + 0.035 * unit, top, brick)
    canvas.rectangle(x, top, right, base, wall)
    gabled = rng.random() < 0.5
    inset = wide * (0.5 if gabled else 0.18)
    eaves = [(x - over, top), (right + over, top), (right - inset, high), (x + inset, high)]
    canvas.fill(eaves, roof)
    if gabled:
        canvas.ellipse(x + wide / 2, top - (top - high) * 0.36, over, over, trim)
    canvas.rectangle(x, top, right, top + 0.012 * unit, SHADOW, 0.22)
    columns = 3 if width > 0.27 else 2
    floors = (x, top, right, base)
    for share, shade in ((0.50, trim), (0.38, PANE)):
        windows(canvas, floors, columns, 2, [shade] * (columns * 2), share)
    door = x + wide * (rng.randrange(columns) + 0.5) / columns
    for half, share, shade in ((0.032, 0.40, trim), (0.024, 0.37, rng.choice(DOORS))):
        canvas.rectangle(door - half * unit, base - tall * share, door + half * unit, base, shade)
    return right


def street(stage: Stage, base: float, walls: tuple[Colour, ...]) -> None:
    """Houses over the whole width, with an alley here and there."""
    rng, unit = stage.rng, stage.unit
    x = -rng.uniform(0, 0.2) * unit
    while x < stage.width:
        x = house(stage, x, base, rng.uniform(0.22, 0.34), rng.choice(walls))
        x += rng.choice((0.01, 0.01, 0.11)) * unit


def street_lamps(stage: Stage, gap: tuple[float, float], size: float, iron: str, lit: bool) -> None:
    """Lamps along the road, ``gap`` units apart."""
    canvas, unit, post = stage.canvas, stage.unit, colour(iron)
    tall, arm, base = size * unit, size * unit * 0.16, stage.far_edge - 0.012 * unit
    top, bulb = base - tall, colour("ffecaa") if lit else mix(post, WHITE, 0.4)

    def lamp(x: float) -> None:
        canvas.stroke([(x, base), (x, top), (x + arm, top)], 0.012 * unit, post)
        left, right = x + arm * 0.6, x + arm * 1.4
        canvas.rectangle(left, top, right, top + 0.018 * unit, bulb)
        if lit:
            canvas.glow(x + arm, top, 0.2 * unit, bulb, 0.7)
            cone = [(left, top), (right, top), (x + arm * 3, base), (x - arm, base)]
            canvas.fill(cone, bulb, 0.10)

    along(stage, *gap, lamp)
