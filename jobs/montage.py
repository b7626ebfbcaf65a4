"""Draw a query picture and its neighbours as one picture: the DAG's task ``montage``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from jobs.base.atomic import staged_file
from jobs.base.command import run_step, step_parser
from jobs.base.logs import section
from jobs.drawing import montage as drawing
from jobs.drawing.table import table
from jobs.embedding.copies import copy_of, open_copy
from jobs.store.answers import MONTAGE, QUERY_PICTURE, Caption, read_answer
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)


def draw_montage(root: DataRoot, folder: Path) -> Path:
    """Draw ``folder/montage.png`` from ``folder/neighbours.json`` and return its path.

    Raises LookalikeError if there is no answer to draw, or the copy of a picture can't be read.
    """
    answer = read_answer(folder)

    def picture_of(picture: Caption) -> Image.Image:
        file, remedy = folder / QUERY_PICTURE, "run the query again"
        if picture["id"]:
            file = copy_of(root, answer["model"], picture["id"], picture["path"])
            remedy = "delete it and run the step montage again"
        return open_copy(file, remedy)

    target = folder / MONTAGE
    with section("montage"), staged_file(target) as staging:
        drawing.draw_montage(answer, picture_of).save(staging, "PNG", optimize=True)
    for line_of_table in table(answer):
        log.info(line_of_table)
    log.info(f"montage: {target}")
    return target


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.montage", __doc__)
    parser.add_argument("--run", default="manual", help="the folder under queries/")

    def step(given: argparse.Namespace) -> dict[str, str]:
        root = DataRoot.from_env()
        return {"montage": str(draw_montage(root, root.query_folder(given.run)))}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
