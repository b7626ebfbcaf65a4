"""``index/<version>/gallery.db``: SQLite, what pages and look-ups read of a version's pictures.

Each order in which the pages go through the pictures is numbered, and each way to name a picture is indexed,
so that no read takes longer among a million pictures than among ten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jobs.base.errors import LookalikeError
from jobs.base.text import spellings
from jobs.store.documents import FIRST, check_format
from jobs.store.versions import Index

FORMAT = 3

REMEDY = "run the DAG similarity_index, which lays it out again"

ALL = 0
"""The class of all pictures."""

SCHEMA = f"""
PRAGMA user_version = {FORMAT};
-- class 0 is all pictures; folded counts those that are left when near-duplicates are folded together
CREATE TABLE classes (class INTEGER PRIMARY KEY, name TEXT, pictures INTEGER, folded INTEGER);
-- row: from 0, ascending by id; file: the name of the file at path;
-- alike: the first row of those that are nearly the same as this one
CREATE TABLE pictures (
    row INTEGER PRIMARY KEY, id TEXT UNIQUE, path TEXT, file TEXT, label TEXT, class_name TEXT, alike INTEGER
);
-- other files with the bytes of a picture, as its catalog has them
CREATE TABLE copies (row INTEGER, path TEXT, file TEXT, label TEXT);
CREATE INDEX copies_row ON copies (row);
CREATE INDEX copies_path ON copies (path);
CREATE INDEX copies_file ON copies (file);
CREATE INDEX pictures_path ON pictures (path);
CREATE INDEX pictures_file ON pictures (file);
CREATE INDEX pictures_alike ON pictures (alike);
-- place: from 0, within a class, with near-duplicates folded (1) or not (0): a page is a range of places
CREATE TABLE places (class INTEGER, folded INTEGER, place INTEGER, row INTEGER,
    PRIMARY KEY (class, folded, place)) WITHOUT ROWID;
CREATE TABLE neighbours (row INTEGER, rank INTEGER, other INTEGER, distance REAL,
    PRIMARY KEY (row, rank)) WITHOUT ROWID;
"""

Row = dict[str, Any]
"""A picture: the columns of ``pictures``, and what a query adds."""


@dataclass(frozen=True)
class Page:
    """A page of pictures: ``number`` from 1 to ``pages``, of ``total`` pictures, ``size`` per page."""

    pictures: list[Row]
    number: int
    total: int
    size: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.size))


class Gallery:
    """The pictures of one index version."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __len__(self) -> int:
        total: int = self._rows("SELECT pictures FROM classes WHERE class = ?", ALL)[0]["pictures"]
        return total

    def check(self) -> None:
        """Raises LookalikeError, by way of ``open_gallery``, if a page of the database is damaged."""
        found = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(found.split()))

    def classes(self) -> list[Row]:
        """class, name (None: without a label), pictures, folded; all first, those without last."""
        return self._rows("SELECT * FROM classes ORDER BY class != 0, name IS NULL, class")

    def rows_of(self, class_name: str) -> list[int]:
        """The rows of a class by its name, ascending; none if there is no such class."""
        found = self._database.execute(
            "SELECT row FROM classes JOIN places USING (class)"
            " WHERE name = ? AND places.folded = 0 ORDER BY row",
            (class_name,),
        )
        return [row for (row,) in found]

    def page(self, class_: int, folded: bool, number: int, size: int) -> Page:
        count = self._rows(
            f"SELECT {'folded' if folded else 'pictures'} AS total FROM classes WHERE class = ?",  # noqa: S608
            class_,
        )
        total = count[0]["total"] if count else 0
        number = min(max(number, 1), max(1, -(-total // size)))
        rows = self._rows(
            "SELECT pictures.*,"
            " (SELECT count(*) FROM pictures AS other WHERE other.alike = pictures.row) AS same"
            " FROM places JOIN pictures USING (row)"
            " WHERE class = ? AND folded = ? AND place >= ? AND place < ? ORDER BY place",
            class_,
            int(folded),
            size * (number - 1),
            size * number,
        )
        return Page(rows, number, total, size)

    def picture(self, id_: str) -> Row | None:
        rows = self._rows("SELECT * FROM pictures WHERE id = ?", id_)
        return rows[0] if rows else None

    def at(self, row: int) -> Row:
        """The picture of a row, from 0, ascending by id."""
        return self._rows("SELECT * FROM pictures WHERE row = ?", row)[0]

    def named(self, text: str) -> list[Row]:
        """The pictures with the path ``text`` or, if there are none, with that file name; at most two.

        A picture has the paths of all its copies.
        A name with its accents in the other form is taken if there is none in this one.
        """
        for column in ("path", "file"):
            for spelling in spellings(text):
                query = (
                    f"SELECT * FROM pictures WHERE {column} = ?1 OR row IN"  # noqa: S608
                    f" (SELECT row FROM copies WHERE {column} = ?1) LIMIT 2"
                )
                if rows := self._rows(query, spelling):
                    return rows
        return []

    def copies(self, picture: Row) -> list[Row]:
        """path, label: the other files with the picture's bytes, ascending by path."""
        return self._rows("SELECT path, label FROM copies WHERE row = ? ORDER BY path", picture["row"])

    def captions(self, ids: Sequence[str]) -> dict[str, Row]:
        """Id -> picture, of those that exist."""
        return {id_: picture for id_ in ids if (picture := self.picture(id_))}

    def neighbours(self, picture: Row) -> list[Row]:
        """The stored neighbours, ascending by distance; ``same_class`` if they are of the picture's class."""
        return self._rows(
            "SELECT pictures.*, rank, distance, label IS NOT NULL AND label = ? AS same_class"
            " FROM neighbours JOIN pictures ON pictures.row = other WHERE neighbours.row = ? ORDER BY rank",
            picture["label"],
            picture["row"],
        )

    def alike(self, picture: Row, most: int) -> list[Row]:
        """Up to ``most`` of the others that near-duplicates link to the picture."""
        return self._rows(
            "SELECT * FROM pictures WHERE alike = ? AND row != ? LIMIT ?",
            picture["alike"],
            picture["row"],
            most,
        )

    def alike_after(self, row: int, most: int) -> list[int]:
        """The first rows of up to ``most`` groups of near-duplicates that come after ``row``, ascending."""
        found = self._database.execute(
            "SELECT alike FROM pictures WHERE alike > ?"
            " GROUP BY alike HAVING count(*) > 1 ORDER BY alike LIMIT ?",
            (row, most),
        )
        return [first for (first,) in found]

    def _rows(self, query: str, *values: object) -> list[Row]:
        return [dict(row) for row in self._database.execute(query, values)]


@contextmanager
def open_gallery(index: Index) -> Iterator[Gallery]:
    """Raises LookalikeError if the version has none, one of another format, or a corrupt one, also while
    it is read."""
    with readable_gallery(index), closing(connect(index)) as database:
        yield Gallery(database)


@contextmanager
def readable_gallery(index: Index) -> Iterator[None]:
    """Turn what is wrong with the database that a block reads into LookalikeError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LookalikeError(f"{index.gallery_file} is corrupt ({error}): {REMEDY}.") from error


def connect(index: Index, *, any_thread: bool = False) -> sqlite3.Connection:
    """The version's database, for the thread that opens it or, one after another, for any.

    Raises LookalikeError if there is none or it is of another format.
    """
    if not index.gallery_file.is_file():
        raise LookalikeError(f"Index {index.version} has no gallery: {REMEDY}.")
    # A version never changes, so SQLite need not look out for writers.
    address = f"file:{quote(str(index.gallery_file))}?mode=ro&immutable=1"
    database = sqlite3.connect(address, uri=True, check_same_thread=not any_thread)
    found = database.execute("PRAGMA user_version").fetchone()[0]
    check_format(index.gallery_file, found or FIRST, FORMAT, REMEDY)
    database.row_factory = sqlite3.Row
    return database


def check_gallery(index: Index) -> None:
    """Raises LookalikeError if the version's gallery is missing, of another format, corrupt or short."""
    with open_gallery(index) as gallery:
        gallery.check()
        if len(gallery) != index.manifest()["images"]:
            raise LookalikeError(
                f"{index.gallery_file} holds {len(gallery):,} of {index.manifest()['images']:,} pictures: "
                "run the DAG similarity_index, which lays it out again."
            )
