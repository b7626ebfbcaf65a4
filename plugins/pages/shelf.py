"""Read what the pages show: versions, answers, quarantined files. The work does not grow with the number of
pictures."""

from __future__ import annotations

import csv
from functools import lru_cache
from itertools import islice
from typing import Any

from jobs.base.errors import LookalikeError
from jobs.store.answers import ANSWER, MONTAGE, Answer, read_answer
from jobs.store.catalog import labels_told_file, passed_over_file, quarantine_file
from jobs.store.manifest import Manifest
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import Index, complete_versions, name_index

MOST_VERSIONS = 100
Row = dict[str, Any]


@lru_cache(maxsize=MOST_VERSIONS)
def manifest(index: Index) -> Manifest:
    """The manifest of a version, which never changes."""
    return index.manifest()


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


def passed_over(root: DataRoot) -> list[Row]:
    """What the last catalog passed over, and what to do about it; the first hundred rows."""
    try:
        with passed_over_file(root).open(encoding="utf-8", newline="") as file:
            return list(islice(csv.DictReader(file), 100))
    except FileNotFoundError:  # of an earlier release, or no catalog yet
        return []


def labels_told(root: DataRoot) -> list[str]:
    """What the last catalog says of how labels were found."""
    try:
        return labels_told_file(root).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # of an earlier release, or no catalog yet
        return []


def quarantined(root: DataRoot, number: int, size: int = 100) -> tuple[list[Row], bool]:
    """A page of the quarantined files, from 1, and whether there are more."""
    try:
        with quarantine_file(root).open(encoding="utf-8", newline="") as file:
            start = size * (max(number, 1) - 1)
            rows = list(islice(csv.DictReader(file), start, start + size + 1))
    except FileNotFoundError:
        return [], False
    return rows[:size], len(rows) > size
