"""Lay out an index's pictures and neighbours for the pages that show them: the DAG's task ``gallery``."""

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
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.search.near_duplicates import first_alike, near_duplicates, stored_neighbours
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)

ALL = 0
"""The class that stands for every picture."""

SCHEMA = """
-- class 0 is all pictures; folded counts those that are left when near-duplicates are folded together
CREATE TABLE classes (class INTEGER PRIMARY KEY, name TEXT, pictures INTEGER, folded INTEGER);
-- row: from 0, ascending by id; alike: the first row of those that are nearly the same as this one
CREATE TABLE pictures (
    row INTEGER PRIMARY KEY, id TEXT UNIQUE, path TEXT, label TEXT, class_name TEXT, alike INTEGER
);
CREATE INDEX pictures_alike ON pictures (alike);
-- place: from 0, within a class, with near-duplicates folded (1) or not (0): a page is a range of places
CREATE TABLE places (class INTEGER, folded INTEGER, place INTEGER, row INTEGER,
    PRIMARY KEY (class, folded, place)) WITHOUT ROWID;
CREATE TABLE neighbours (row INTEGER, rank INTEGER, other INTEGER, distance REAL,
    PRIMARY KEY (row, rank)) WITHOUT ROWID;
"""


def lay_out_gallery(root: DataRoot, version: str = BUILT) -> Path:
    """Write ``gallery.db`` into an index version; once there, it stays.

    Each order in which the pages go through the pictures is numbered, so that a page is found in as
    much time among a million as among ten. Raises LookalikeError where there is no such index or its
    neighbours were not stored.
    """
    index = open_index(root, version)
    if index.gallery_file.exists():
        log.info(f"{index.gallery_file} is there already")
        return index.gallery_file
    if not index.neighbours.exists():
        raise LookalikeError(f"{index.neighbours} is missing: run the step neighbours first.")
    with (
        section("gallery"),
        staged_file(index.gallery_file) as staging,
        closing(sqlite3.connect(staging)) as database,
        database,
    ):
        # Nobody reads it before it is renamed, and it is made anew after a crash.
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)
        _fill(database, index)
    log.info(f"gallery: {index.gallery_file}")
    return index.gallery_file


def _fill(database: sqlite3.Connection, index: Index) -> None:
    captions = index.captions()
    neighbours, distances = stored_neighbours(index, np.array([row["id"] for row in captions], "S32"))
    _, pairs = near_duplicates(neighbours, distances)
    alike = first_alike(pairs, len(captions))
    named = np.array([row["class_name"] or row["label"] or "" for row in captions])
    names, classes = np.unique(named, return_inverse=True)
    database.executemany(
        "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?)",
        (
            (row, told["id"], told["path"], told["label"], told["class_name"], first)
            for row, (told, first) in enumerate(zip(captions, alike.tolist(), strict=True))
        ),
    )
    database.executemany("INSERT INTO neighbours VALUES (?, ?, ?, ?)", _ranked(neighbours, distances))
    is_first = alike == np.arange(len(alike))
    # By class and path; what has no class comes last.
    order = np.lexsort(([row["path"] for row in captions], classes, named == ""))
    for folded, rows in ((0, order), (1, order[is_first[order]])):
        for numbers in (np.full_like(classes, ALL), classes + 1):
            database.executemany("INSERT INTO places VALUES (?, ?, ?, ?)", _placed(numbers, folded, rows))
    told = [(ALL, None, len(captions), int(is_first.sum()))]
    for number, name in enumerate(names.tolist()):
        inside = classes == number
        told.append((number + 1, name or None, int(inside.sum()), int((inside & is_first).sum())))
    database.executemany("INSERT INTO classes VALUES (?, ?, ?, ?)", told)


def _ranked(neighbours: NDArray[Any], distances: NDArray[Any]) -> Iterator[tuple[int, int, int, float]]:
    for row, (others, lengths) in enumerate(zip(neighbours, distances, strict=True)):
        for rank, (other, length) in enumerate(zip(others.tolist(), lengths.tolist(), strict=True), start=1):
            yield row, rank, other, length


def _placed(classes: NDArray[Any], folded: int, rows: NDArray[Any]) -> Iterator[tuple[int, int, int, int]]:
    """Number ``rows``, each class by itself."""
    taken: Counter[int] = Counter()
    for row, number in zip(rows.tolist(), classes[rows].tolist(), strict=True):
        yield number, folded, taken[number], row
        taken[number] += 1


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.gallery", description=__doc__)
    parser.add_argument("--index-version", default=BUILT, help="a version, built or current")

    def step(options: argparse.Namespace) -> None:
        lay_out_gallery(DataRoot.from_env(), options.index_version)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
