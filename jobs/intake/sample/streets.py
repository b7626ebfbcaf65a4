"""Scenes in towns; each paints a stage from the sky to the foreground."""

from __future__ import annotations

from jobs.intake.sample.buildings import skyline, street, street_lamps
from jobs.intake.sample.canvas import WHITE, colour, mix, palette
from jobs.intake.sample.figures import WALKER, figure
from jobs.intake.sample.plants import bush, grove, leafy, palm
from jobs.intake.sample.roads import foreground, pavement, road, verge
from jobs.intake.sample.scenery import Stage, along, clouds, glints, peaks, ridge, scatter, sky, sun

UMBRELLAS = ("e4504f", "3f9fb5", "f0a830", "8f5fb0", "4f9f6a")


def town(stage: Stage) -> None:
    """A row of painted houses with trees before them."""
    sky(stage, "66bcf0 e8f5f6", "7cc6f2 c8e8f2 fdf2e0", "78b0ee d4e0f6 f8eef6")
    clouds(stage)
    ridge(stage, stage.horizon, 0.16, "b9d8b0 a4cb9c", 1.5)
    base = stage.far_edge - 0.035 * stage.unit
    stage.band(stage.horizon, base + 1, "a6cd8c 8cba74")
    street(stage, base, palette("f6d9c2 cfe3ec f3e6b8 e9c9c9 d5e4c8 dcd4ea fbf1e4"))
    pavement(stage, "ccc6be")
    base = stage.far_edge - 0.015 * stage.unit
    grove(stage, leafy, (0.4, 0.9), base, (0.26, 0.36), "6fae5c 88b94e 5a9c60")
    grove(stage, bush, (0.2, 0.5), base, (0.025, 0.035), "68a45c")
    road(stage, "6d717b", "f7f3e6")
    verge(stage, "7fb562", "b9dc86")


def night(stage: Stage) -> None:
    """Stars, a moon and lit windows."""
    canvas, rng, far = stage.canvas, stage.rng, stage.far_edge
    sky(stage, "0c1236 2b2f6e 5a4a8c", "0a1630 1f3a6a 3f6a96", "120f34 33286a 7a4a86")
    scatter(stage, 70, 0, stage.horizon * 0.8, colour("f0f0ff"), 0.0035, 0.9)
    x, y, r = stage.across(0.1, 0.9), rng.uniform(0.15, 0.35) * stage.horizon, 0.06 * stage.unit
    canvas.glow(x, y, r * 4, colour("bec8ff"), 0.5)
    canvas.ellipse(x, y, r, r, colour("faf4dc"))
    for dx, dy, share in ((-0.3, -0.2, 0.2), (0.25, 0.3, 0.26), (0.3, -0.4, 0.12)):
        canvas.ellipse(x + dx * r, y + dy * r, share * r, share * r, colour("e2d8be"))
    dim, bright = palette("35386e 35386e c9a65a 35386e"), palette("ffd873 22264e 22264e ffb85c")
    skyline(stage, far, 0.3, 0.52, palette("26295a 2c2f66"), dim)
    skyline(stage, far, 0.18, 0.36, palette("171a3c 1b1d44 14213f"), (*bright, bright[1]))
    pavement(stage, "4a4c70")
    street_lamps(stage, (0.5, 0.8), 0.44, "101228", lit=True)
    road(stage, "2c2e48", "b9b4c8")
    foreground(stage, "1c1e38 121428")


def city(stage: Stage) -> None:
    """Towers in warm daylight."""
    far = stage.far_edge
    *_, haze = sky(stage, "5cb4ea fdf0dc", "7cc4e4 ffe8cc", "6ca6e8 f8e6ec")
    sun(stage, colour("fff6dc"), 0.06, 0.2, 0.5)
    clouds(stage, most=3)
    rose, brick = palette("d98f6c c06a52")
    skyline(stage, far, 0.42, 0.66, (mix(rose, haze, 0.6),))
    hazy = (mix(brick, haze, 0.3), mix(rose, haze, 0.3))
    skyline(stage, far, 0.3, 0.5, hazy, (mix(rose, WHITE, 0.55),))
    walls, panes = palette("a8503f c06a52 844a54 b06042"), palette("ffe0b0 7a5a68 f6c890")
    skyline(stage, far, 0.16, 0.34, walls, panes)
    pavement(stage, "cec4ba")
    base = far - 0.015 * stage.unit
    grove(stage, leafy, (0.3, 0.6), base, (0.2, 0.28), "7fae5e 5e9a62")
    street_lamps(stage, (0.8, 1.2), 0.34, "464a58", lit=False)
    road(stage, "585d68", "fbf3dc")
    foreground(stage, "d8ccbe b8aa9c")


def dusk(stage: Stage) -> None:
    """A boulevard of palms against the last light."""
    far = stage.far_edge
    sky(
        stage,
        "2c1f5c a23a7c ff7a52 ffd27a",
        "3a1f66 c4426e ff9a5a ffe08a",
        "1f2a66 7a3f96 f0648a ffc08a",
    )
    sun(stage, colour("ffe28c"), 0.15, 0.88, 0.94)
    clouds(stage, colour("78326e"), 0.45)
    walls, panes = palette("7a3470 8a3c70"), palette("ffc070 96487a 96487a")
    skyline(stage, stage.below(0.04), 0.06, 0.24, walls, panes)
    stage.band(stage.below(0.03), far, "f08a5c c85a62")
    grove(stage, bush, (0.06, 0.10), far, (0.025, 0.035), "4a2352")
    grove(stage, palm, (0.28, 0.55), far, (0.42, 0.7), "3c1c48")
    road(stage, "6a4a78", "ffd9a8")
    foreground(stage, "4a2a58 2e1a40")


def rain(stage: Stage) -> None:
    """A grey-blue street with umbrellas."""
    rng, far, base = stage.rng, stage.far_edge, stage.far_edge - 0.012 * stage.unit
    *_, haze = sky(stage, "8f9fac c3d2d8", "8498a8 b8c8d4", "949ea8 cdd2d6")
    for low, high, fog in ((0.4, 0.66, 0.72), (0.28, 0.46, 0.45)):
        wall = mix(colour("4e6278"), haze, fog)
        skyline(stage, far, low, high, (wall, mix(wall, haze, 0.2)), (mix(wall, haze, 0.35),))
    walls, panes = palette("5b7088 4d6179 6a7c8e"), palette("ffd98a 73879c 73879c 8397aa")
    skyline(stage, far, 0.14, 0.28, walls, panes)
    pavement(stage, "96a4b0")
    street_lamps(stage, (0.9, 1.3), 0.36, "323e4e", lit=True)
    along(
        stage,
        0.18,
        0.5,
        lambda x: figure(stage, x, base, rng.uniform(0.13, 0.16), WALKER, rng.choice(UMBRELLAS)),
    )
    road(stage, "55626f", "dfe6ea")
    foreground(stage, "66747f 55626f")


def wet(stage: Stage) -> None:
    """The street mirrors what stands on it, and rain falls."""
    canvas, rng, unit, drop = stage.canvas, stage.rng, stage.unit, colour("ebf4fa")
    canvas.mirror_below(stage.ground + 0.012 * unit, 0.2 * unit, 0.36)
    for _ in stage.many(110):
        x, y, fall = stage.across(), rng.uniform(0, canvas.height), rng.uniform(0.02, 0.06) * unit
        canvas.stroke([(x, y), (x - fall * 0.25, y + fall)], 0.0025 * unit, drop, 0.5)
    for _ in stage.many(14):
        y = rng.uniform(stage.far_edge, canvas.height)
        canvas.ellipse(stage.across(), y, 0.018 * unit, 0.005 * unit, drop, 0.35)


def bridge(stage: Stage) -> None:
    """A suspension bridge over a bay."""
    canvas, unit, far = stage.canvas, stage.unit, stage.far_edge
    sky(stage, "74c0f0 e9f5f2", "8fb8f0 d4dcf4 fdeae0", "84d0e4 c8ecec fbf4dc")
    sun(stage, colour("fffae6"), 0.05, 0.2, 0.6)
    clouds(stage)
    peaks(stage, stage.horizon, 0.2, colour("96b2c4"), None)
    ridge(stage, stage.below(0.01), 0.1, "8fb0a4 7fa396", 1.4)
    stage.band(stage.horizon, far, "a4d2dc 5fa8c0")
    glints(stage, 40, stage.horizon, far)
    red, dark = palette("c8452f 9c3a30")
    deck = far - 0.07 * unit
    span, tall = stage.rng.uniform(0.9, 1.2) * unit, min(0.6 * unit, deck * 0.9)
    x = -stage.rng.uniform(0, 0.9) * span
    while x < stage.width + span:
        sag = [(step / 24, 0.08 + 0.92 * (1 - step / 12) ** 2) for step in range(25)]
        cable = [(x + share * span, deck - high * tall) for share, high in sag]
        canvas.stroke(cable, 0.012 * unit, red)
        for place, top in cable[1:-1]:
            canvas.stroke([(place, top), (place, deck)], 0.004 * unit, red)
        for leg in (x - 0.035 * unit, x + 0.02 * unit):
            canvas.rectangle(leg, deck - tall * 1.04, leg + 0.02 * unit, far, red)
        for share in (0.3, 0.65, 0.98):
            y = deck - tall * share
            canvas.rectangle(x - 0.035 * unit, y, x + 0.04 * unit, y + 0.02 * unit, dark)
        x += span
    canvas.rectangle(0, deck, stage.width, deck + 0.012 * unit, red)
    along(stage, 0.03, 0.03, lambda x: canvas.rectangle(x, deck, x + 0.006 * unit, far, red))
    canvas.rectangle(0, far - 0.02 * unit, stage.width, far, dark)
    road(stage, "666c78", "f9f4e4")
    foreground(stage, "b04a3a 8a362e")
