"""Reports: ``index/<version>/report.html``, a page, and ``report.json``, what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.store.documents import read_document, write_document
from jobs.store.embeddings import ModelDescription
from jobs.store.manifest import Lsh, Recall
from jobs.store.versions import Index

FORMAT = 2
REMEDY = "run the step report again"


class Report(TypedDict):
    """``report.json``: what the manifest says about the index, and what the step ``report`` measured."""

    version: str
    created: str
    images: int
    collection: NotRequired[dict[str, Any]]
    """What the index is of; not in reports of an earlier release."""
    stored: NotRequired[dict[str, Any]]
    """Recall of the neighbours that are stored for every picture; not in reports of an earlier release."""
    search: str
    model: ModelDescription
    lsh: Lsh
    recall: Recall
    candidates: int
    candidates_fraction: float
    bytes_read: float
    clipped: float | None
    frontier: dict[str, Any] | None
    """Recall for every number of candidates; None if search is exact."""
    distances: dict[str, Any]
    semantics: dict[str, Any] | None
    """How often neighbours are of the query's class; None if no class has two pictures."""
    hubness: dict[str, Any]
    near_duplicates: dict[str, Any]
    same_bytes: dict[str, Any]


def write_report_document(index: Index, report: Mapping[str, Any]) -> None:
    write_document(_file(index), report, FORMAT)


def check_report(index: Index) -> None:
    """Raises LookalikeError if the page or what it shows is missing, corrupt or of another format."""
    if not (index.report_file.is_file() and index.report_file.stat().st_size):
        raise LookalikeError(f"{index.report_file} is missing: {REMEDY}.")
    try:
        read_document(_file(index), Report, FORMAT, REMEDY)
    except FileNotFoundError as error:
        raise LookalikeError(f"{_file(index)} is missing: {REMEDY}.") from error


class Scale(TypedDict):
    """What distances mean in one version: medians of what the report measured."""

    neighbour: float
    """From a picture to its nearest neighbours."""
    random: float
    """Between two random pictures."""


def scale_of(index: Index) -> Scale | None:
    """None if the version has no report that can be read."""
    try:
        distances = read_document(_file(index), Report, FORMAT, REMEDY)["distances"]
    except (FileNotFoundError, LookalikeError):
        return None
    return Scale(neighbour=distances["median_neighbour"], random=distances["median_random"])


def _file(index: Index) -> Path:
    return index.report_file.with_suffix(".json")
