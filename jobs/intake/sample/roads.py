"""What a vehicle stands on, and the strips beyond and before it."""

from __future__ import annotations

from jobs.intake.sample.canvas import SHADOW, WHITE, Colour, colour, even, mix
from jobs.intake.sample.scenery import Stage, along


def road(stage: Stage, asphalt: str, line: str) -> None:
    """Asphalt with an edge line and a dashed line before the vehicle."""
    canvas, unit = stage.canvas, stage.unit
    surface, paint = colour(asphalt), colour(line)
    top, bottom = stage.far_edge, stage.near_edge
    canvas.band(top, bottom, even(mix(surface, WHITE, 0.10), surface))
    canvas.rectangle(0, top + 0.010 * unit, stage.width, top + 0.016 * unit, paint, 0.8)
    y, thick, length = bottom - 0.036 * unit, 0.013 * unit, 0.13 * unit

    def dash(x: float) -> None:
        right, slant = x + length, length * 0.08
        low = y + thick
        canvas.fill([(x, y), (right, y), (right - slant, low), (x - slant, low)], paint)

    along(stage, 0.26, 0.26, dash)


def track(stage: Stage, surface: str, ruts: str) -> None:
    """An unpaved road with two ruts."""
    stage.band(stage.far_edge, stage.near_edge, surface)
    for share in (0.032, 0.102):
        top = stage.far_edge + share * stage.unit
        bottom = top + 0.014 * stage.unit
        stage.canvas.rectangle(0, top, stage.width, bottom, colour(ruts), 0.6)


def pavement(stage: Stage, slabs: str) -> None:
    """Slabs and a kerb beyond the road."""
    canvas, unit, slab = stage.canvas, stage.unit, colour(slabs)
    top, bottom, joint = stage.far_edge - 0.04 * unit, stage.far_edge, mix(slab, SHADOW, 0.2)
    canvas.band(top, bottom, even(mix(slab, WHITE, 0.15), slab))
    slant = 0.02 * unit
    along(
        stage,
        0.09,
        0.09,
        lambda x: canvas.stroke([(x, top), (x - slant, bottom)], 0.003 * unit, joint),
    )
    canvas.rectangle(0, bottom - 0.008 * unit, stage.width, bottom + 0.006 * unit, joint)


def guard_rail(stage: Stage, height: float, thick: float, gap: float, rail: Colour) -> None:
    """Posts ``gap`` units apart, under a rail ``height`` above the road's far edge."""
    canvas, unit, post = stage.canvas, stage.unit, 0.014 * stage.unit
    top, bottom = stage.far_edge - height * unit, stage.far_edge
    along(stage, gap, gap, lambda x: canvas.rectangle(x, top, x + post, bottom, rail))
    canvas.rectangle(0, top, stage.width, top + thick * unit, mix(rail, WHITE, 0.4))
    shade = mix(rail, SHADOW, 0.2)
    canvas.rectangle(0, top + thick * unit * 0.7, stage.width, top + thick * unit, shade)


def foreground(stage: Stage, colours: str) -> None:
    """The strip between road and viewer."""
    stage.band(stage.near_edge, stage.canvas.height, colours)


def verge(stage: Stage, grass: str, tips: str) -> None:
    """A foreground of grass, with blades along the road."""
    canvas, rng, unit, top = stage.canvas, stage.rng, stage.unit, stage.near_edge
    low, high = colour(grass), colour(tips)
    canvas.band(top, canvas.height, even(low, mix(low, SHADOW, 0.25)))
    for _ in stage.many(36):
        x, tall = stage.across(), rng.uniform(0.012, 0.04) * unit
        tip = (x + rng.uniform(-0.5, 0.5) * tall, top - tall)
        blade = [(x, top + 2), (x + 0.01 * unit, top + 2), tip]
        canvas.fill(blade, mix(low, high, rng.random()))
