"""Read what the pages show: galleries, versions, answers, quarantined files. No work here grows with the
number of pictures."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jobs.base.errors import LookalikeError
from jobs.store.catalog import quarantine_file
from jobs.store.root import DataRoot
from jobs.store.versions import CURRENT, VERSION, Index, name_index

ALL = 0
"""The class that stands for all pictures."""
PAGE = 60
"""Pictures on a page."""
MOST_VERSIONS = 100
Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """A page of pictures: ``number`` from 1 to ``pages``, of ``total`` pictures."""

    pictures: list[Row]
    number: int
    total: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE))


class Gallery:
    """The pictures of one index version, in the orders in which jobs/gallery.py laid them out."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def classes(self) -> list[Row]:
        """class, name (None: without a label), pictures, folded; all first, those without last."""
        return self._rows("SELECT * FROM classes ORDER BY class != 0, name IS NULL, class")

    def page(self, class_: int, folded: bool, number: int) -> Page:
        count = self._rows(
            f"SELECT {'folded' if folded else 'pictures'} AS total FROM classes WHERE class = ?",  # noqa: S608
            class_,
        )
        total = count[0]["total"] if count else 0
        number = min(max(number, 1), max(1, -(-total // PAGE)))
        rows = self._rows(
            "SELECT pictures.*,"
            " (SELECT count(*) FROM pictures AS other WHERE other.alike = pictures.row) AS same"
            " FROM places JOIN pictures USING (row)"
            " WHERE class = ? AND folded = ? AND place >= ? AND place < ? ORDER BY place",
            class_,
            int(folded),
            PAGE * (number - 1),
            PAGE * number,
        )
        return Page(rows, number, total)

    def picture(self, id_: str) -> Row | None:
        found = self._rows("SELECT * FROM pictures WHERE id = ?", id_)
        return found[0] if found else None

    def neighbours(self, picture: Row) -> list[Row]:
        """The stored neighbours, ascending by distance; ``same`` where they are of the picture's class."""
        return self._rows(
            "SELECT pictures.*, rank, distance, label IS NOT NULL AND label = ? AS same_class"
            " FROM neighbours JOIN pictures ON pictures.row = other WHERE neighbours.row = ? ORDER BY rank",
            picture["label"],
            picture["row"],
        )

    def alike(self, picture: Row) -> list[Row]:
        """Up to a page of the others that near-duplicates link to the picture."""
        return self._rows(
            "SELECT * FROM pictures WHERE alike = ? AND row != ? LIMIT ?",
            picture["alike"],
            picture["row"],
            PAGE,
        )

    def _rows(self, query: str, *values: object) -> list[Row]:
        return [dict(row) for row in self._database.execute(query, values)]


@contextmanager
def open_gallery(index: Index) -> Iterator[Gallery]:
    """Raises LookalikeError where the version has none."""
    # A version never changes, so SQLite need not look out for writers.
    address = f"file:{quote(str(index.gallery_file))}?mode=ro&immutable=1"
    try:
        opened = sqlite3.connect(address, uri=True)
    except sqlite3.OperationalError as error:
        if index.gallery_file.is_file():
            raise
        raise LookalikeError(
            f"Index {index.version} has no gallery: run the DAG similarity_index to have it laid out."
        ) from error
    with closing(opened) as database:
        database.row_factory = sqlite3.Row
        yield Gallery(database)


@lru_cache(maxsize=MOST_VERSIONS)
def manifest(index: Index) -> Row:
    """The manifest of a version, which never changes."""
    return index.manifest()


def versions(root: DataRoot) -> list[Row]:
    """The newest complete versions: manifest, run and time of publishing, what there is to look at."""
    try:
        current = name_index(root, CURRENT).version
    except LookalikeError:
        current = None
    folders = [folder for folder in root.index.glob("*") if VERSION.fullmatch(folder.name)]
    found = []
    for index in map(Index, folders):
        if not index.manifest_file.is_file():
            continue
        try:
            said, told = manifest(index), index.published()
        except LookalikeError:
            if index.manifest_file.is_file():
                raise
            continue  # cleaned up meanwhile
        run = told.get("run")
        answer = root.query_folder(run) if run else None
        found.append(
            {
                **said,
                "run": run,
                "published_at": told.get("at"),
                "is_current": index.version == current,
                "has_report": index.report_file.is_file(),
                "has_montage": bool(answer and (answer / "montage.png").is_file()),
            }
        )
    found.sort(key=lambda row: str(row["published_at"] or row["created"]), reverse=True)
    return found[:MOST_VERSIONS]


def answer(folder: Path) -> Row | None:
    """The answer of a run whose montage is drawn; None before."""
    if not (folder / "montage.png").is_file():
        return None
    try:
        told: Row = json.loads((folder / "neighbours.json").read_text(encoding="utf-8"))
    except FileNotFoundError:  # cleaned up meanwhile
        return None
    return told


def quarantined(root: DataRoot, number: int, size: int = 100) -> tuple[list[Row], bool]:
    """A page of the quarantined files, from 1, and whether there are more."""
    try:
        with quarantine_file(root).open(encoding="utf-8", newline="") as file:
            start = size * (max(number, 1) - 1)
            rows = list(islice(csv.DictReader(file), start, start + size + 1))
    except FileNotFoundError:
        return [], False
    return rows[:size], len(rows) > size
