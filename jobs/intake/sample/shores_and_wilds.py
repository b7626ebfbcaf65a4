"""Scenes where nobody lives; each paints a stage from the sky to the foreground."""

from __future__ import annotations

from jobs.intake.sample.buildings import house
from jobs.intake.sample.canvas import SHADOW, WHITE, colour, even, mix, palette, rounded
from jobs.intake.sample.figures import PARASOL, SAILING_BOAT, figure
from jobs.intake.sample.plants import bush, cactus, grove, palm, pine
from jobs.intake.sample.roads import foreground, guard_rail, road, track, verge
from jobs.intake.sample.scenery import Stage, along, birds, clouds, glints, peaks, ridge, scatter, sky, sun


def coast(stage: Stage) -> None:
    """A road above the sea, with sails, a headland and a guard rail."""
    canvas, rng, unit, shore = stage.canvas, stage.rng, stage.unit, stage.far_edge
    *_, haze = sky(stage, "2f8fdc d9f3f7", "4fa8ea fbf3dc", "3f9ad8 c9ecf0")
    sun(stage, colour("fff6d6"), 0.05, 0.2, 0.6)
    clouds(stage)
    birds(stage)
    ridge(stage, stage.below(0.002), rng.uniform(0.04, 0.1), "9dbccb 9dbccb", 1.2)
    far, near = palette("2f8fb5 1c6f9c")
    canvas.band(stage.horizon, shore, even(mix(far, haze, 0.35), far, near))
    glints(stage, 60, stage.horizon, shore)
    for _ in range(rng.randint(1, 3)):
        size = rng.uniform(0.05, 0.11)
        figure(stage, stage.across(), stage.below(size * 0.3), size, SAILING_BOAT)
    side, inward = rng.choice(((0, unit), (stage.width, -unit)))
    length, high = rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.2)
    headland = (
        (side, stage.below(-high), 0),
        (side + inward * length * 0.6, stage.below(0.04 - high), 0.1 * unit),
        (side + inward * length * 0.8, stage.below(0.03), 0.04 * unit),
        (side + inward * length, shore, 0),
        (side, shore, 0),
    )
    canvas.shade(rounded(headland), even(*palette("7fae6a 8c9a66 b39a78")))
    stage.band(shore - 0.03 * unit, shore, "d9cda6 c4b48a")
    road(stage, "5f646e", "f4f1e6")
    guard_rail(stage, 0.055, 0.018, 0.14, colour("dce2e8"))
    verge(stage, "86a860", "c9d47a")


def beach(stage: Stage) -> None:
    """Palms before a pink evening sea."""
    rng, unit, shore = stage.rng, stage.unit, stage.far_edge
    *_, haze = sky(stage, "6a6fc4 f58fa8 ffd7a0", "f2789f ffb88a ffe6b0", "8a6fc9 ff9e9a ffe0b8")
    x = sun(stage, colour("fff0c4"), 0.11, 0.86, 0.92)
    clouds(stage, colour("ffe2dc"), 0.6)
    birds(stage)
    stage.canvas.band(
        stage.horizon, shore, even(mix(haze, colour("7878be"), 0.45), *palette("7a86c4 4f7fb5"))
    )
    for step in range(12):
        y, half = stage.below(0.006 + 0.012 * step), rng.uniform(0.03, 0.12) * unit
        stage.canvas.rectangle(x - half, y, x + half, y + 0.005 * unit, colour("ffecc8"), 0.6)
    ridge(stage, shore - 0.05 * unit, 0.02, "f9e2b8 eccb98", 1.0)
    grove(stage, palm, (0.22, 0.5), shore, (0.36, 0.66), "2f6f6a")
    if rng.random() < 0.6:
        figure(stage, stage.across(), shore, 0.14, PARASOL, rng.choice(("f25f5c", "ffe066")))
    road(stage, "82758f", "fdeedd")
    verge(stage, "4f8f78", "8cc59a")


def snow(stage: Stage) -> None:
    """Alps and firs in winter."""
    rng, unit = stage.rng, stage.unit
    sky(stage, "5aa0e0 e6f1fa", "8797d8 e0c8e4 fbe3e4", "6cb4e4 d8ecf4 f8f2e6")
    sun(stage, colour("fffae8"), 0.045, 0.2, 0.5)
    peaks(stage, stage.horizon, rng.uniform(0.36, 0.46), *palette("8ea3c4 f2f6fc"))
    ridge(stage, stage.below(0.02), 0.1, "c3d3e8 dbe6f3", 1.6)
    haze = colour("96b0c8")
    grove(stage, pine, (0.05, 0.13), stage.below(0.03), (0.10, 0.16), "346062", haze, 0.4)
    stage.band(stage.below(0.02), stage.far_edge, "eef4fb dce8f4")
    if rng.random() < 0.5:
        house(stage, stage.across(0.1, 0.7), stage.below(0.1), 0.24, colour("96684a"))
    for place in (0.06, 0.12):
        grove(stage, pine, (0.3, 0.8), stage.below(place), (0.24, 0.4), "346062 2c5a5c")
    track(stage, "a9b6ca 8f9db4", "78869e")
    edge = stage.far_edge + 0.01 * unit
    ridge(stage, edge, 0.02, "ffffff f0f5fb", 4.0, edge + 1)
    foreground(stage, "d3deec d3deec")
    ridge(stage, stage.near_edge + 0.03 * unit, 0.05, "ffffff d3dfee", 2.5, stage.canvas.height)


def snowfall(stage: Stage) -> None:
    for count, size, alpha in ((90, 0.004, 0.7), (40, 0.008, 0.85)):
        scatter(stage, count, 0, stage.canvas.height, WHITE, size, alpha)


def desert(stage: Stage) -> None:
    """Mesas, dunes and saguaros."""
    sky(stage, "2fa7b8 b8e4d4 fdeec4", "4fbccb b4e0d4 fde7c0", "3f9fc8 a8dcdc fbe2be")
    sun(stage, colour("fff4c8"), 0.07, 0.3, 0.7)
    _mesas(stage, 0.1, 0.2, "d9a08e c98775")
    _mesas(stage, 0.12, 0.28, "b8665a 9c4f52")
    ridge(stage, stage.below(0.05), 0.06, "f2cf94 e8b878", 1.2)
    ridge(stage, stage.below(0.10), 0.05, "f6dca6 e3b67a", 1.6)
    for place in (0.07, 0.12):
        grove(stage, cactus, (0.5, 1.2), stage.below(place), (0.14, 0.3), "3e805c 4a8a5c")
    grove(stage, bush, (0.2, 0.6), stage.far_edge, (0.02, 0.03), "968c54")
    road(stage, "77707a", "f5d76a")
    foreground(stage, "eec888 d4a465")
    place = stage.near_edge + 0.03 * stage.unit
    grove(stage, bush, (0.2, 0.6), place, (0.03, 0.04), "a49658")


def _mesas(stage: Stage, low: float, high: float, colours: str) -> None:
    rng, unit, foot = stage.rng, stage.unit, stage.below(0.03)
    lit, dark = palette(colours)

    def mesa(x: float) -> None:
        wide, tall = rng.uniform(0.16, 0.4) * unit, rng.uniform(low, high) * unit
        profile = (
            (-0.7, 0, 0.0),
            (-0.44, 0.45, 0.02),
            (-0.4, 1, 0.012),
            (0.4, 1, 0.012),
            (0.44, 0.45, 0.02),
            (0.7, 0, 0.0),
        )
        corners = tuple((x + dx * wide, foot - dy * tall, r * unit) for dx, dy, r in profile)
        stage.canvas.shade(rounded(corners), even(lit, dark))
        layer = (x - 0.4 * wide, foot - 0.8 * tall, x + 0.4 * wide, foot - 0.74 * tall)
        stage.canvas.rectangle(*layer, mix(dark, SHADOW, 0.1), 0.5)

    along(stage, 0.35, 0.9, mesa)
