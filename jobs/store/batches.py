"""Answers to many questions: ``queries/<run>/batch.parquet`` and ``batch.csv``, a row per neighbour.

``refused.csv`` beside them lists what has no answer and why. ``batch.json``, written last, says how many.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from typing_extensions import TypedDict

from jobs.base.atomic import staged_file
from jobs.base.errors import LookalikeError
from jobs.base.ranges import Count
from jobs.store.documents import read_document, write_document
from jobs.store.manifest import Recall
from jobs.store.reading import readable

FORMAT = 1
BATCH, TABLE, SHEET, REFUSED = "batch.json", "batch.parquet", "batch.csv", "refused.csv"
SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("rank", pa.int32()),
        ("id", pa.string()),
        ("path", pa.string()),
        ("label", pa.string()),
        ("class_name", pa.string()),
        ("distance", pa.float32()),
    ]
)
"""``query`` is what was asked about, a path or an id. Rows are in the questions' order, then by rank."""


class Batch(TypedDict):
    """``batch.json``."""

    asked: int
    answered: int
    refused: int
    k: Count
    method: str
    version: str
    pictures: Count
    recall: Recall


class Refusal(TypedDict):
    query: str
    reason: str


def write_batch(folder: Path, batch: Batch, rows: pa.Table, refused: Sequence[Refusal]) -> None:
    with staged_file(folder / TABLE) as staging:
        pq.write_table(rows, staging)
    with staged_file(folder / SHEET) as staging:
        pyarrow.csv.write_csv(rows, staging)
    with staged_file(folder / REFUSED) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["query", "reason"])
        writer.writeheader()
        writer.writerows(refused)
    write_document(folder / BATCH, batch, FORMAT)


def read_batch(folder: Path) -> Batch:
    """Raises LookalikeError if there is none, or it is corrupt or of another format."""
    try:
        return read_document(folder / BATCH, Batch, FORMAT, "run the batch again")
    except FileNotFoundError as error:
        raise LookalikeError(f"{folder} holds no {BATCH}: run the step batch first.") from error


def first_answers(folder: Path, most: int) -> list[tuple[str, list[dict[str, object]]]]:
    """The first questions, each with its neighbours by rank.

    Raises LookalikeError if the table is damaged.
    """
    answers: dict[str, list[dict[str, object]]] = {}
    with readable(folder / TABLE, "run the batch again"), pq.ParquetFile(folder / TABLE) as table:
        for part in table.iter_batches(1_000):
            for row in part.to_pylist():
                if row["query"] not in answers and len(answers) == most:
                    return list(answers.items())
                answers.setdefault(row["query"], []).append(row)
    return list(answers.items())


def first_refused(folder: Path, most: int) -> list[dict[str, str]]:
    """Raises LookalikeError if the list is damaged."""
    sheet = folder / REFUSED
    with readable(sheet, "run the batch again"), sheet.open(encoding="utf-8", newline="") as file:
        return list(islice(csv.DictReader(file), most))
