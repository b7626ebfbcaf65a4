"""Read what the pages show: versions, answers, quarantined files. The work does not grow with the number of
pictures."""

from __future__ import annotations

import csv
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from jobs.base.errors import LookalikeError
from jobs.store.answers import ANSWER, MONTAGE, Answer, read_answer
from jobs.store.catalog import LABELS_TOLD
from jobs.store.manifest import Manifest
from jobs.store.root import CURRENT, DataRoot, read_pointer
from jobs.store.versions import Index, complete_versions, name_index

MOST_VERSIONS = 100
Row = dict[str, Any]


@lru_cache(maxsize=MOST_VERSIONS)
def manifest(index: Index) -> Manifest:
    """The manifest of a version, which never changes."""
    return index.manifest()


def is_empty(root: DataRoot) -> bool:
    """Whether no index was ever published."""
    return read_pointer(root.index / CURRENT) is None


def is_current(root: DataRoot, index: Index) -> bool:
    return read_pointer(root.index / CURRENT) == index.version


def versions(root: DataRoot) -> tuple[list[Row], list[str]]:
    """The newest complete versions, with manifest, run and time of publishing, and which files exist; and
    the errors of those that can't be read."""
    try:
        current = name_index(root, CURRENT).version
    except LookalikeError:
        current = None
    rows, problems = [], []
    for index in complete_versions(root):
        try:
            made, published = manifest(index), index.published()
        except LookalikeError as error:
            if index.manifest_file.is_file():  # else it was cleaned up meanwhile
                problems.append(str(error))
            continue
        run = published and published["run"]
        answer = root.query_folder(run) if run else None
        rows.append(
            {
                **made,
                "run": run,
                "published_at": published and published["at"],
                "is_current": index.version == current,
                "has_report": index.report_file.is_file(),
                "has_montage": bool(answer and (answer / MONTAGE).is_file()),
            }
        )
    rows.sort(key=lambda row: str(row["published_at"] or row["created"]), reverse=True)
    return rows[:MOST_VERSIONS], problems


def answer(root: DataRoot, run: str) -> Answer | None:
    """The answer of a run; None until its montage is drawn."""
    folder = root.query_folder(run)
    there = all((folder / name).is_file() for name in (ANSWER, MONTAGE))
    return read_answer(folder) if there else None


def looked_at(root: DataRoot, index: Index | None) -> Path:
    """The folder that says what could not be used: of a version's catalog or, without one, of the last."""
    return root.catalog / manifest(index)["catalog"] if index else root.catalog


def is_last(root: DataRoot, index: Index) -> bool:
    """Whether no later run looked at other files than those of the version."""
    return read_pointer(root.catalog / CURRENT) == manifest(index)["catalog"]


def labels_told(catalog: Path) -> list[str]:
    """What a catalog says of how labels were found."""
    try:
        return (catalog / LABELS_TOLD).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # of an earlier release, or no catalog yet
        return []


def listed(file: Path, number: int = 1, size: int = 100) -> tuple[list[Row], bool]:
    """A page of a CSV file's rows, from 1, and whether there are more; none if there is no such file."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            start = size * (max(number, 1) - 1)
            rows = list(islice(csv.DictReader(opened), start, start + size + 1))
    except FileNotFoundError:
        return [], False
    return rows[:size], len(rows) > size
