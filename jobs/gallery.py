"""Prepare an index's pictures and neighbours for pages and look-ups: the DAG's task ``gallery``."""

from __future__ import annotations

import argparse
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.base.atomic import staged_file
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.search.near_duplicates import first_alike, near_duplicates
from jobs.store.catalog import read_duplicates
from jobs.store.gallery import ALL, SCHEMA, check_gallery
from jobs.store.neighbours import read_neighbours
from jobs.store.reading import is_whole
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)


def lay_out_gallery(root: DataRoot, version: str = BUILT) -> Path:
    """Write ``gallery.db`` into an index version; an existing one is kept.

    Raises LookalikeError if there is no such index or its neighbours were not stored.
    """
    index = open_index(root, version)
    if is_whole(index.gallery_file, lambda: check_gallery(index)):
        log.info(f"{index.gallery_file} exists already")
        return index.gallery_file
    if not index.neighbours.exists():
        raise LookalikeError(f"{index.neighbours} is missing: run the step neighbours first.")
    with (
        section("gallery"),
        staged_file(index.gallery_file) as staging,
        closing(sqlite3.connect(staging)) as database,
        database,
    ):
        # It is not read before it is renamed, and it is made again after a crash.
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)
        _fill(database, index)
        copies = _copies(read_duplicates(root, index.manifest()["catalog"]), index.captions())
        database.executemany("INSERT INTO copies VALUES (?, ?, ?, ?)", copies)
    log.info(f"gallery: {index.gallery_file}")
    return index.gallery_file


def _fill(database: sqlite3.Connection, index: Index) -> None:
    captions = index.captions()
    neighbours, distances = read_neighbours(index, np.array([row["id"] for row in captions], "S32"))
    _, pairs = near_duplicates(neighbours, distances)
    alike = first_alike(pairs, len(captions))
    named = np.array([row["class_name"] or row["label"] or "" for row in captions])
    names, classes = np.unique(named, return_inverse=True)
    database.executemany(
        "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (row, *_caption(picture), first)
            for row, (picture, first) in enumerate(zip(captions, alike.tolist(), strict=True))
        ),
    )
    database.executemany("INSERT INTO neighbours VALUES (?, ?, ?, ?)", _ranked(neighbours, distances))
    is_first = alike == np.arange(len(alike))
    # By class and path; pictures without a class come last.
    order = np.lexsort(([row["path"] for row in captions], classes, named == ""))
    for folded, rows in ((0, order), (1, order[is_first[order]])):
        for numbers in (np.full_like(classes, ALL), classes + 1):
            database.executemany("INSERT INTO places VALUES (?, ?, ?, ?)", _placed(numbers, folded, rows))
    counted = [(ALL, None, len(captions), int(is_first.sum()))]
    for number, name in enumerate(names.tolist()):
        inside = classes == number
        counted.append((number + 1, name or None, int(inside.sum()), int((inside & is_first).sum())))
    database.executemany("INSERT INTO classes VALUES (?, ?, ?, ?)", counted)


def _caption(picture: dict[str, Any]) -> tuple[str, str, str, str | None, str | None]:
    path = picture["path"]
    return picture["id"], path, path.rpartition("/")[2], picture["label"], picture["class_name"]


def _copies(
    duplicates: list[dict[str, str]], captions: list[dict[str, Any]]
) -> Iterator[tuple[int, str, str, str | None]]:
    rows = {picture["id"]: row for row, picture in enumerate(captions)} if duplicates else {}
    for file in duplicates:
        row, path = rows.get(file["id"]), file["path"]
        if row is not None and path != captions[row]["path"]:
            yield row, path, path.rpartition("/")[2], file["label"] or None


def _ranked(neighbours: NDArray[Any], distances: NDArray[Any]) -> Iterator[tuple[int, int, int, float]]:
    for row, (others, lengths) in enumerate(zip(neighbours, distances, strict=True)):
        for rank, (other, length) in enumerate(zip(others.tolist(), lengths.tolist(), strict=True), start=1):
            yield row, rank, other, length


def _placed(classes: NDArray[Any], folded: int, rows: NDArray[Any]) -> Iterator[tuple[int, int, int, int]]:
    """Number ``rows`` within each class."""
    taken: Counter[int] = Counter()
    for row, number in zip(rows.tolist(), classes[rows].tolist(), strict=True):
        yield number, folded, taken[number], row
        taken[number] += 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.gallery", __doc__)
    add_name(parser, "--index-version", "the index version", BUILT, CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        return {"gallery": str(lay_out_gallery(DataRoot.from_env(), given.index_version))}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
