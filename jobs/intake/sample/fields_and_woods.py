"""Scenes in the country; each paints a stage from the sky to the foreground."""

from __future__ import annotations

from jobs.intake.sample.canvas import Colour, colour, mix, palette
from jobs.intake.sample.figures import BARN, figure, windmill
from jobs.intake.sample.plants import grove, leafy
from jobs.intake.sample.roads import guard_rail, road, track, verge
from jobs.intake.sample.scenery import Stage, birds, clouds, ridge, scatter, sky, sun

LEAVES = "d9622b e8912d c9442c f0b23c a8542e"


def wheat(stage: Stage) -> None:
    """Golden rows up to a red barn, under hills."""
    rng, unit, top = stage.rng, stage.unit, stage.below(0.02)
    sky(stage, "4fb0ea a8dcf0 fdf3d0", "74c4ee c8e6e4 ffe9b8", "5fa8e4 b4dcf0 fdeccc")
    sun(stage, colour("fff0be"), 0.055, 0.25, 0.7)
    clouds(stage)
    birds(stage)
    ridge(stage, stage.horizon, 0.14, "a9c48b 8fb374", 1.3)
    ridge(stage, top, 0.07, "7fa65c 6c964f", 2.2)
    figure(stage, stage.across(0.1, 0.9), stage.below(0.03), rng.uniform(0.16, 0.22), BARN)
    grove(stage, leafy, (0.3, 0.9), stage.below(0.03), (0.14, 0.18), "608e4a 6c9850")
    stage.band(top, stage.far_edge, "f0cf6b e3b043 d49a34")
    _rows(stage, top, 0.05, 0.16, 0.2, [colour("b07824")], 0.35)
    for _ in range(rng.randint(0, 3)):
        near = rng.uniform(0.25, 0.7)
        _bale(stage, stage.across(), top + near * (stage.far_edge - top), 0.02 + 0.03 * near)
    _ears(stage, stage.far_edge + 0.005 * unit, 0.055)
    track(stage, "c7a878 b08f62", "92724c")
    verge(stage, "b88f34", "f2d67a")
    _ears(stage, stage.near_edge + 0.03 * unit, 0.06)


def _rows(
    stage: Stage,
    top: float,
    far: float,
    near: float,
    share: float,
    colours: list[Colour],
    alpha: float,
) -> None:
    """Rows of a field that run to one point: ``far`` and ``near`` units apart at both ends,
    each covering ``share`` of that."""
    point, bottom, unit = stage.across(0.3, 0.7), stage.far_edge, stage.unit
    for index in range(-14, 15):
        end = index + share
        edge = [(point + index * far * unit, top), (point + end * far * unit, top)]
        edge += [(point + end * near * unit, bottom), (point + index * near * unit, bottom)]
        stage.canvas.fill(edge, colours[index % len(colours)], alpha)


def _bale(stage: Stage, x: float, y: float, radius: float) -> None:
    r, front = radius * stage.unit, x - radius * stage.unit * 0.3
    for place, wide, tall, code in (
        (x, 1.25, 1.0, "ce963c"),
        (front, 0.9, 0.96, "e8be64"),
        (front, 0.4, 0.42, "ce963c"),
    ):
        stage.canvas.ellipse(place, y, r * wide, r * tall, colour(code))


def _ears(stage: Stage, base: float, size: float) -> None:
    canvas, rng, unit = stage.canvas, stage.rng, stage.unit
    light, deep = palette("f4d878 c8913a")
    for _ in stage.many(70):
        x, tall = stage.across(), rng.uniform(0.6, 1.0) * size * unit
        tip = x + rng.uniform(-0.2, 0.3) * tall
        canvas.stroke([(x, base), (tip, base - tall)], 0.004 * unit, deep)
        shade = mix(light, deep, rng.random())
        canvas.ellipse(tip, base - tall, 0.006 * unit, 0.016 * unit, shade)


def tulips(stage: Stage) -> None:
    """Rows of tulips and windmills under a high sky."""
    rng, unit, top = stage.rng, stage.unit, stage.below(0.02)
    sky(stage, "4aa4ec e3f4fb", "6cbcf2 c8e8f4 fdf6de", "7fb0ea d4dcf4 fbeef2")
    clouds(stage, most=6)
    birds(stage)
    ridge(stage, stage.below(0.01), 0.03, "8fb98a 7fab76", 3.0)
    grove(stage, leafy, (0.12, 0.5), top, (0.08, 0.12), "709e68 80aa70")
    for _ in range(rng.randint(1, 2)):
        windmill(stage, stage.across(0.08, 0.92), stage.below(0.03), rng.uniform(0.26, 0.36))
    stage.band(top, stage.far_edge, "74b25a 5c9a48")
    flowers = rng.sample(palette("e8434f f9c22e f27fb2 fff3ea f0803c"), 4)
    _rows(stage, top, 0.09, 0.34, 0.72, flowers, 1.0)
    for share in (0.15, 0.3, 0.5, 0.75):
        y = top + share * (stage.far_edge - top)
        stage.canvas.rectangle(0, y, stage.width, y + 0.006 * unit, colour("3c783c"), 0.3)
    road(stage, "6b6f7a", "f6f2e8")
    verge(stage, "5f9f4c", "9fd070")
    for flower in flowers:
        edge = stage.near_edge
        scatter(stage, 14, edge + 0.005 * unit, edge + 0.05 * unit, flower, 0.014)


def autumn(stage: Stage) -> None:
    """A forest track among golden trees."""
    unit = stage.unit
    *_, haze = sky(stage, "8fc8d8 fdeac0", "f6c98a fdeac4", "a8d0d0 fbe6d0")
    sun(stage, colour("fff6d6"), 0.06, 0.35, 0.7)
    birds(stage)
    ridge(stage, stage.horizon, 0.16, "f4c080 ecb080", 1.5)
    for place, low, high, fog in ((0.03, 0.16, 0.26, 0.55), (0.07, 0.26, 0.42, 0.25)):
        grove(stage, leafy, (0.07, 0.16), stage.below(place), (low, high), LEAVES, haze, fog)
    ridge(stage, stage.below(0.09), 0.03, "c98a3c a86a30", 2.0)
    grove(stage, leafy, (0.35, 0.8), stage.far_edge - 0.02 * unit, (0.5, 0.75), LEAVES)
    track(stage, "9a7a5a 7f6248", "624834")
    verge(stage, "9a5f2e", "e0a040")
    for leaf in palette(LEAVES):
        scatter(stage, 16, stage.far_edge - 0.04 * unit, stage.canvas.height, leaf, 0.008)


def falling_leaves(stage: Stage) -> None:
    rng, leaves = stage.rng, palette(LEAVES)
    for _ in stage.many(16):
        x, y, r = stage.across(), rng.uniform(0, stage.ground), rng.uniform(0.008, 0.016)
        r *= stage.unit
        tilt = rng.uniform(-0.6, 0.6) * r
        leaf = [(x - r, y + tilt), (x, y - r / 2), (x + r, y - tilt), (x, y + r / 2)]
        stage.canvas.fill(leaf, rng.choice(leaves))


def park(stage: Stage) -> None:
    """Fresh lawns with blossoming trees and a pond."""
    canvas, rng, unit = stage.canvas, stage.rng, stage.unit
    sky(stage, "5cbcf0 e9f8ee", "7accf0 d4eef0 fdf4e4", "6cb0ee d8e4fa fbeef6")
    clouds(stage)
    birds(stage)
    ridge(stage, stage.horizon, 0.1, "b2dba0 98cc88", 1.6)
    grove(stage, leafy, (0.07, 0.18), stage.below(0.03), (0.14, 0.24), "7ebc76 8cc680")
    stage.band(stage.below(0.02), stage.far_edge, "9ad67e 6fb85c")
    pond = stage.across(0.1, 0.9)
    canvas.ellipse(pond, stage.below(0.085), 0.34 * unit, 0.030 * unit, colour("e2ecbe"))
    canvas.ellipse(pond, stage.below(0.085), 0.32 * unit, 0.024 * unit, colour("7ec4e2"))
    base = stage.far_edge - rng.uniform(0.02, 0.06) * unit
    grove(stage, leafy, (0.22, 0.55), base, (0.36, 0.56), "f6a5c0 fbc4d4 6fb85c 5aa64e")
    guard_rail(stage, 0.066, 0.014, 0.045, colour("fafafa"))
    road(stage, "767b86", "fbf7ea")
    verge(stage, "6db55a", "b8e27e")
    for count, code, size in ((18, "fff6fa", 0.009), (10, "fad250", 0.009)):
        edge = stage.near_edge
        scatter(stage, count, edge, edge + 0.05 * unit, colour(code), size)
