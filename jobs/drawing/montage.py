"""The montage: a query picture and its neighbours as one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from jobs.base.text import name_of, plain
from jobs.drawing.palette import CARD, GROUND, INK, OTHER, QUERY, QUIET, SAME, WRONG
from jobs.drawing.table import same_class
from jobs.store.answers import Answer, Caption, Neighbour

TILE = 224
GAP = 24
CAPTION = 96
HEADER, FOOTER = 72, 52
COLUMNS = 5


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    # matplotlib comes with DejaVu Sans, which has far more scripts than Pillow's own. It isn't imported:
    # that takes longer than to draw.
    package = find_spec("matplotlib")
    assert package is not None and package.origin is not None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(package.origin).with_name("mpl-data") / "fonts" / "ttf" / name, size)


def draw_montage(answer: Answer, picture_of: Callable[[Caption], Image.Image]) -> Image.Image:
    """The query picture and its neighbours, drawn side by side.

    ``picture_of`` gives a picture's resized copy. Neighbours of the query's class have a green frame.
    """
    neighbours = answer["neighbours"]
    rows = max(1, -(-len(neighbours) // COLUMNS))
    step_x, step_y = TILE + GAP, TILE + CAPTION + GAP
    width = GAP + 2 * GAP + step_x * (1 + COLUMNS)
    height = HEADER + rows * step_y + FOOTER
    canvas = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(canvas)

    draw.text((GAP, 20), "Look-alikes", INK, _font(28, bold=True))
    title = answer["model"]["title"]
    images = f"{answer['index']['images']:,} pictures"
    summary = f"the {len(neighbours)} nearest of {images}, by {title} and Spark's LSH"
    draw.text((GAP + 198, 30), summary, QUIET, _font(16))
    _tile(canvas, picture_of, answer, answer["query"], (GAP, HEADER))
    line = GAP + TILE + GAP + GAP // 2
    draw.line((line, HEADER, line, HEADER + step_y - GAP), OTHER, 2)
    for number, neighbour in enumerate(neighbours):
        across, down = number % COLUMNS, number // COLUMNS
        corner = (3 * GAP + step_x * (1 + across), HEADER + down * step_y)
        _tile(canvas, picture_of, answer, neighbour, corner)
    _foot(draw, answer, width, height)
    return canvas


def _tile(
    canvas: Image.Image,
    picture_of: Callable[[Caption], Image.Image],
    answer: Answer,
    picture: Caption | Neighbour,
    corner: tuple[int, int],
) -> None:
    draw = ImageDraw.Draw(canvas)
    left, top = corner
    rank, distance = picture.get("rank"), picture.get("distance")
    same = rank is not None and same_class(answer, picture)
    frame = QUERY if rank is None else SAME if same else OTHER
    draw.rounded_rectangle((left - 5, top - 5, left + TILE + 4, top + TILE + CAPTION), 10, CARD, frame, 3)
    canvas.paste(picture_of(picture).resize((TILE, TILE)), corner)
    badge = "query" if rank is None else str(rank)
    across = draw.textlength(badge, _font(15, bold=True)) + 18
    draw.rounded_rectangle((left, top, left + across, top + 26), 6, frame if frame != OTHER else INK)
    draw.text((left + 9, top + 4), badge, "white", _font(15, bold=True))
    lines = textwrap.wrap(plain(name_of(picture)), 26, max_lines=2, placeholder=" …")
    for number, line in enumerate(lines):
        draw.text((left + 6, top + TILE + 8 + 20 * number), line, INK, _font(15))
    below = top + TILE + CAPTION - 28
    if rank is not None:
        draw.text((left + 6, below), f"distance {distance:.3f}", QUIET, _font(14))
        if same:
            draw.text((left + TILE - 6, below), "same class", SAME, _font(14, bold=True), anchor="ra")
    else:
        file_name = textwrap.shorten(plain(Path(picture["path"]).name), 26, placeholder="…")
        draw.text((left + 6, below), file_name, QUIET, _font(14))


def _foot(draw: ImageDraw.ImageDraw, answer: Answer, width: int, height: int) -> None:
    weights = Path(answer["model"]["weights"]).name
    left = f"{weights} weights · {answer['method']} search · index {answer['index']['version']}"
    draw.text((GAP, height - 36), left, QUIET, _font(14))
    note = answer["note"]
    if weights == "random":
        note = "Random weights: only colours and shapes are compared, not what ImageNet taught."
    if note:
        draw.text((width - GAP, height - 36), note, WRONG, _font(14, bold=True), anchor="ra")
