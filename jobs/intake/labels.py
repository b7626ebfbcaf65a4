"""Read label CSVs and join them to picture files, keeping what is unmatched."""

from __future__ import annotations

import csv
import io
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from jobs.base.errors import LookalikeError

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

# What SciPy raises on files that are truncated, corrupt or of another kind.
_MAT_ERRORS = (
    MatReadError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    NotImplementedError,
    MemoryError,
    NameError,
    zlib.error,
)

IMAGE_COLUMNS = ("image", "path", "file", "filename")
LABEL_COLUMNS = ("class", "label")


@dataclass(frozen=True)
class LabelRow:
    """One row of a label CSV; ``reason`` is set if the row labels no picture."""

    row: int
    """Line of the row's first field in the file; the header is line 1."""
    image: str
    label: str
    reason: str | None = None


@dataclass
class Join:
    """Which picture has which label, and what is unmatched."""

    labels: dict[str, str] = field(default_factory=dict)
    """Relative path of a picture -> label."""
    unmatched_rows: list[LabelRow] = field(default_factory=list)
    unmatched_files: list[str] = field(default_factory=list)
    duplicate_rows: int = 0


def read_labels(path: Path) -> list[LabelRow]:
    """Read the image and label columns of a CSV; others are ignored.

    The image column is the first of ``image``, ``path``, ``file``, ``filename`` that
    exists, the label column ``Class`` or ``label``; case is ignored.

    Raises LookalikeError if a column is missing or the file isn't a UTF-8 CSV.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return list(_read_rows(path, csv.reader(io.StringIO(text, newline=""), strict=True)))
    except UnicodeDecodeError as error:
        raise LookalikeError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}): save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise LookalikeError(f"{path} cannot be read as a CSV ({error}): repair the file.") from error
    except OSError as error:
        raise LookalikeError(f"{path} cannot be read: {error.strerror}.") from error


def _read_rows(path: Path, rows: CsvReader) -> Iterable[LabelRow]:
    header = [name.strip().lower() for name in next(rows, [])]
    image = next((header.index(name) for name in IMAGE_COLUMNS if name in header), None)
    label = next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    if image is None or label is None:
        missing = "image" if image is None else "Class or label"
        raise LookalikeError(
            f"{path} has no column {missing} (its columns: {', '.join(header) or 'none'}): rename one."
        )
    number = rows.line_num + 1
    for row in rows:
        line, number = number, rows.line_num + 1
        if not row:
            continue
        cells = row + [""] * (max(image, label) + 1 - len(row))
        named, labelled = cells[image].strip(), cells[label].strip()
        reason = "names no picture" if not named else "has no label" if not labelled else None
        yield LabelRow(line, named, labelled, reason)


def read_class_names(path: Path) -> dict[str, str]:
    """Read the dev kit's ``cars_meta.mat``: label (``"1"``, ``"2"`` ...) -> class name."""
    try:
        names = np.atleast_1d(loadmat(path, squeeze_me=True)["class_names"])
    except _MAT_ERRORS as error:
        raise LookalikeError(
            f"{path} holds no class names: take cars_meta.mat from the data set's dev kit."
        ) from error
    return {str(number): str(name) for number, name in enumerate(names, start=1)}


def join_labels(rows: Iterable[LabelRow], files: Iterable[str]) -> Join:
    """Join label rows to ``files`` (paths relative to the split's folder, with ``/``).

    A row names a picture by its relative path or, if only one file has that name, by its
    file name. Rows that repeat a picture's label are counted; rows that contradict each
    other leave the picture unlabelled.
    """
    files = list(files)
    exact = {file: [file] for file in files}
    by_path: dict[str, list[str]] = defaultdict(list)
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files:
        by_path[_key(file)].append(file)
        by_name[_key(file.rpartition("/")[2])].append(file)
    join = Join()
    claims: dict[str, list[LabelRow]] = defaultdict(list)
    for row in rows:
        key = _key(row.image)
        matches = exact.get(row.image) or by_path.get(key) or by_name.get(key, [])
        if row.reason:
            join.unmatched_rows.append(row)
        elif len(matches) == 1:
            claims[matches[0]].append(row)
        else:
            reason = f"{len(matches)} pictures have this name" if matches else "no such picture"
            join.unmatched_rows.append(LabelRow(row.row, row.image, row.label, reason))
    for file, claim in claims.items():
        labels = {row.label for row in claim}
        if len(labels) == 1:
            join.labels[file] = claim[0].label
            join.duplicate_rows += len(claim) - 1
        else:
            join.unmatched_rows += [
                LabelRow(row.row, row.image, row.label, "contradicts another row") for row in claim
            ]
    join.unmatched_rows.sort(key=lambda row: row.row)
    join.unmatched_files = [file for file in files if file not in join.labels]
    return join


def _key(name: str) -> str:
    # macOS writes é as two code points, most CSVs as one.
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))
