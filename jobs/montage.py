"""Draw the query and its neighbours: the DAG's task ``montage``."""

from __future__ import annotations

import argparse
import json
import logging
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from jobs.base.atomic import staged_file
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.base.text import name_of, plain
from jobs.store.root import QUERY_PICTURE, DataRoot, resized_file

log = logging.getLogger(__name__)

TILE = 224
GAP = 24
CAPTION = 96
HEADER, FOOTER = 72, 52
COLUMNS = 5

GROUND, CARD, INK, QUIET = "#f4f1ea", "#ffffff", "#22252b", "#6d7078"
QUERY, SAME, OTHER = "#1f4e8c", "#1b8a5a", "#c9c4b8"


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    # matplotlib brings DejaVu Sans along, which knows far more scripts than Pillow's own font.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def draw_montage(root: DataRoot, folder: Path) -> Path:
    """Draw ``folder/montage.png`` from ``folder/neighbours.json`` and return its path.

    Neighbours of the query's class have a green frame. Raises LookalikeError where
    there is no answer to draw.
    """
    told = read_answer(folder)
    neighbours = told["neighbours"]
    rows = max(1, -(-len(neighbours) // COLUMNS))
    step_x, step_y = TILE + GAP, TILE + CAPTION + GAP
    width = GAP + 2 * GAP + step_x * (1 + COLUMNS)
    height = HEADER + rows * step_y + FOOTER
    canvas = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(canvas)

    draw.text((GAP, 20), "Look-alikes", INK, _font(28, bold=True))
    images = f"{told['index']['images']:,} pictures"
    summary = f"the {len(neighbours)} nearest of {images}, by ResNet-18 and Spark's LSH"
    draw.text((GAP + 198, 30), summary, QUIET, _font(16))
    _tile(canvas, root, folder, told, told["query"], (GAP, HEADER))
    line = GAP + TILE + GAP + GAP // 2
    draw.line((line, HEADER, line, HEADER + step_y - GAP), OTHER, 2)
    for number, neighbour in enumerate(neighbours):
        across, down = number % COLUMNS, number // COLUMNS
        corner = (3 * GAP + step_x * (1 + across), HEADER + down * step_y)
        _tile(canvas, root, folder, told, neighbour, corner)
    _foot(draw, told, width, height)
    target = folder / "montage.png"
    with section("montage"), staged_file(target) as staging:
        canvas.save(staging, "PNG", optimize=True)
    for line_of_table in table(told):
        log.info(line_of_table)
    log.info(f"montage: {target}")
    return target


def read_answer(folder: Path) -> dict[str, Any]:
    """Read ``neighbours.json``. Raises LookalikeError where there is none."""
    try:
        told: dict[str, Any] = json.loads((folder / "neighbours.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LookalikeError(f"{folder} holds no neighbours.json: run the step query first.") from error
    return told


def same_class(told: dict[str, Any], picture: dict[str, Any]) -> bool:
    return picture["label"] is not None and picture["label"] == told["query"]["label"]


def table(told: dict[str, Any]) -> list[str]:
    """The answer as lines of text: rank, distance, same class, name and file."""
    query = told["query"]
    names = [plain(name_of(picture)) for picture in told["neighbours"]]
    wide = min(48, max([len(name) for name in names] + [10]))
    lines = [f"query     {plain(name_of(query))}  ({plain(Path(query['path']).name)})"]
    lines.append(f"{'rank':>4}  {'distance':>8}  {'':4}  {'class':<{wide}}  file")
    for picture, name in zip(told["neighbours"], names, strict=True):
        same = "same" if same_class(told, picture) else ""
        short = textwrap.shorten(name, wide, placeholder="…")
        lines.append(
            f"{picture['rank']:>4}  {picture['distance']:>8.4f}  {same:<4}  {short:<{wide}}  "
            f"{plain(Path(picture['path']).name)}"
        )
    if told["note"]:
        lines.append(told["note"])
    return lines


def _tile(
    canvas: Image.Image,
    root: DataRoot,
    folder: Path,
    told: dict[str, Any],
    picture: dict[str, Any],
    corner: tuple[int, int],
) -> None:
    draw = ImageDraw.Draw(canvas)
    left, top = corner
    rank = picture.get("rank")
    same = rank is not None and same_class(told, picture)
    frame = QUERY if rank is None else SAME if same else OTHER
    draw.rounded_rectangle((left - 5, top - 5, left + TILE + 4, top + TILE + CAPTION), 10, CARD, frame, 3)
    file = folder / QUERY_PICTURE
    if picture["id"]:
        file = resized_file(root, told["model"]["geometry"], picture["id"])
    with Image.open(file) as resized:
        canvas.paste(resized, corner)
    badge = "query" if rank is None else str(rank)
    across = draw.textlength(badge, _font(15, bold=True)) + 18
    draw.rounded_rectangle((left, top, left + across, top + 26), 6, frame if frame != OTHER else INK)
    draw.text((left + 9, top + 4), badge, "white", _font(15, bold=True))
    lines = textwrap.wrap(plain(name_of(picture)), 26, max_lines=2, placeholder=" …")
    for number, line in enumerate(lines):
        draw.text((left + 6, top + TILE + 8 + 20 * number), line, INK, _font(15))
    below = top + TILE + CAPTION - 28
    if rank is not None:
        draw.text((left + 6, below), f"distance {picture['distance']:.3f}", QUIET, _font(14))
        if same:
            draw.text((left + TILE - 6, below), "same class", SAME, _font(14, bold=True), anchor="ra")
    else:
        file_name = textwrap.shorten(plain(Path(picture["path"]).name), 26, placeholder="…")
        draw.text((left + 6, below), file_name, QUIET, _font(14))


def _foot(draw: ImageDraw.ImageDraw, told: dict[str, Any], width: int, height: int) -> None:
    weights = Path(told["model"]["weights"]).name
    left = f"{weights} weights · {told['method']} search · index {told['index']['version']}"
    draw.text((GAP, height - 36), left, QUIET, _font(14))
    note = told["note"]
    if weights == "random":
        note = "Random weights: only colours and shapes are compared, not what ImageNet taught."
    if note:
        draw.text((width - GAP, height - 36), note, "#a4452c", _font(14, bold=True), anchor="ra")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.montage", description=__doc__)
    parser.add_argument("--run", default="manual", help="which folder under queries/")

    def step(options: argparse.Namespace) -> None:
        root = DataRoot.from_env()
        draw_montage(root, root.query_folder(options.run))

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
