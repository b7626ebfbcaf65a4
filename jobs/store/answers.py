"""Answers: ``queries/<run>/neighbours.json``, and beside it the montage and the query picture."""

from __future__ import annotations

from pathlib import Path

from pydantic import FiniteFloat
from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.base.ranges import Count, Positive, Share
from jobs.store.documents import read_document, write_document
from jobs.store.embeddings import ModelDescription
from jobs.store.manifest import Lsh, Recall

FORMAT = 2
ANSWER, MONTAGE = "neighbours.json", "montage.png"
QUERY_PICTURE = "query.jpg"
"""The resized copy of a picture that is not in the index."""


class Caption(TypedDict):
    """What a picture is called."""

    id: str | None
    """None for a query picture that is not in the index."""
    path: str
    label: str | None
    class_name: str | None


class Neighbour(Caption):
    rank: Count
    """From 1."""
    distance: FiniteFloat
    """Euclidean, of unit vectors: 0 to 2."""


class SearchedIndex(TypedDict):
    """The version that answered, as its manifest describes it."""

    version: str
    images: Count
    lsh: Lsh
    recall: Recall
    candidates_fraction: Positive


class Answer(TypedDict):
    query: Caption
    k: Count
    method: str
    """The search that answered; not always the one that was requested."""
    note: str | None
    """Why it is another one, or another remark."""
    overlap: Share | None
    """Share of the exact answer that was found; None if it was not computed."""
    neighbours: list[Neighbour]
    index: SearchedIndex
    model: ModelDescription


def read_answer(folder: Path) -> Answer:
    """Raises LookalikeError if there is none, or it is corrupt or of another format."""
    try:
        return read_document(folder / ANSWER, Answer, FORMAT, "run the query again")
    except FileNotFoundError as error:
        raise LookalikeError(f"{folder} holds no {ANSWER}: run the step query first.") from error


def write_answer(folder: Path, answer: Answer) -> None:
    write_document(folder / ANSWER, answer, FORMAT)
