"""Assembled vectors: ``vectors/<hash of what they are made of>/``, waiting to be indexed.

Each folder holds ``pictures`` (Parquet: id, path, label, class_name, vector of length 1) and
``vectors.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset
from typing_extensions import TypedDict

from jobs.base.atomic import in_use, write_text
from jobs.base.errors import LookalikeError
from jobs.base.ranges import Count
from jobs.store.documents import read_document, write_document
from jobs.store.reading import readable
from jobs.store.root import CURRENT, DataRoot, name_or_pointer

FORMAT = 1
REMEDY = "delete that folder and run the step vectors again"


class Description(TypedDict):
    """``vectors.json``."""

    fingerprint: str
    """Of the model that made their embeddings."""
    catalog: str
    """The first catalog that they were assembled from."""
    pictures: Count
    dimension: Count


@dataclass(frozen=True)
class Vectors:
    """One set of assembled vectors."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def pictures(self) -> Path:
        """Parquet: id, path, label, class_name, vector."""
        return self.folder / "pictures"

    def description(self) -> Description:
        """Raises LookalikeError if they are missing or of another format."""
        file = self.folder / "vectors.json"
        try:
            return read_document(file, Description, FORMAT, REMEDY)
        except FileNotFoundError as error:
            raise LookalikeError(f"{file} is missing: {REMEDY}.") from error

    def check(self) -> None:
        """Raises LookalikeError if the description or a vector is missing; values are not read."""
        described = self.description()
        with readable(self.pictures, REMEDY):
            there = pyarrow.dataset.dataset(self.pictures).count_rows()
        if there != described["pictures"]:
            raise LookalikeError(
                f"{self.pictures} holds {there:,} of {described['pictures']:,} vectors: {REMEDY}."
            )

    def describe(self, description: Description) -> None:
        write_document(self.folder / "vectors.json", description, FORMAT)


def open_vectors(root: DataRoot, name: str = CURRENT) -> Vectors:
    """The vectors of that name, or those assembled last; they count as used.

    Raises LookalikeError if there are none.
    """
    name = name_or_pointer(root.vectors, name, "vectors")
    vectors = Vectors(root.vectors / name)
    if not in_use(vectors.folder):
        raise LookalikeError(f"{vectors.folder} is missing: run the step vectors again.")
    return vectors


def point_to_vectors(root: DataRoot, vectors: Vectors) -> None:
    """Make them the ones that a step run by hand uses."""
    write_text(root.vectors / CURRENT, vectors.name + "\n")
