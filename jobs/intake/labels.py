"""Read label CSVs, and the names of classes."""

from __future__ import annotations

import codecs
import csv
import io
import re
import stat
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category, normalize

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
MISSING = frozenset(("", "nan", "nat", "null", "none", "na", "n/a", "<na>", "#n/a"))
"""What programs write for no label, in lower case."""
NO_NAME = "names no picture"
NO_LABEL = "has no label"
MAX_BYTES = 1_000_000_000
"""A label file of more bytes is not read."""


@dataclass(frozen=True)
class LabelRow:
    """One row of a label CSV; ``reason`` is set if the row labels no picture."""

    row: int
    """Line of the row's first field in the file; the header is line 1."""
    image: str
    label: str
    reason: str | None = None


def read_labels(path: Path, told: list[str] | None = None) -> list[LabelRow]:
    """Read the image and label columns of a CSV; others are ignored. ``told`` gets what people should know.

    The image column is the first of ``image``, ``path``, ``file``, ``filename`` that
    exists, the label column ``Class`` or ``label``; case is ignored. Text is UTF-8, UTF-16 with its mark, or
    else Windows-1252; columns are parted by a comma, a semicolon or a tab. Labels are cleaned by
    ``clean_labels``.

    Raises LookalikeError if a column is missing or there twice, or the file can't be read or is no CSV.
    """
    told = [] if told is None else told
    try:
        text = _decoded(path, _content(path), told)
        first, _, rest = text.partition("\n")
        named = re.fullmatch("sep=(.)", first.rstrip("\r"), re.IGNORECASE)  # as Excel writes and reads it
        head = rest.partition("\n")[0] if named else first
        delimiter = named[1] if named else max(",;\t", key=head.count)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        if named:
            next(reader)
        return clean_labels(list(_read_rows(path, reader, told)))
    except csv.Error as error:
        why = "a quote is opened and not closed, perhaps" if "field limit" in str(error) else error
        raise LookalikeError(f"{path} cannot be read as a CSV ({why}): repair the file.") from error
    except OSError as error:
        link = f", a link to {path.readlink()}," if path.is_symlink() else ""
        raise LookalikeError(
            f"{path}{link} cannot be read ({error.strerror}): "
            "make it a file that the user who runs the tasks may read, or remove it."
        ) from error


def _content(path: Path) -> bytes:
    status = path.stat()
    # Opening a pipe would wait for its writer, and a device may have no end.
    if not stat.S_ISREG(status.st_mode):
        raise LookalikeError(f"{path} is a folder, a device or a pipe: make it a file, or remove it.")
    if status.st_size > MAX_BYTES:
        raise LookalikeError(f"{path} has more than {MAX_BYTES // 1_000_000} MB: give a smaller one.")
    return path.read_bytes()


def _decoded(path: Path, content: bytes, told: list[str]) -> str:
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise LookalikeError(f"{path} is cut off or no UTF-16: save it as UTF-8.") from error
        where = f"byte {error.object[error.start]:#04x} at {error.start}"
        told.append(f"{path} is not UTF-8 ({where}) and is read as Windows-1252: save it as UTF-8 to be sure")
        text = content.decode("cp1252", "replace")
    if "\0" in text:
        raise LookalikeError(f"{path} has NUL characters, so it is no text: save it as a CSV in UTF-8.")
    return text


def clean_labels(rows: list[LabelRow]) -> list[LabelRow]:
    """The same rows, each label in one spelling.

    Accents are composed, white space is one space, and what isn't seen goes; what spreadsheets and pandas
    write for no label is none; a whole number is ``14``, not ``14.0``, nor ``014`` where others have ``14``.
    """
    labels = {row.label: _clean(row.label) for row in rows}
    there = set(labels.values())
    for written, label in labels.items():
        if (plain := label.lstrip("0")) in there and re.fullmatch("0+[0-9]+", label):
            labels[written] = plain
    return [
        LabelRow(
            row.row, row.image, labels[row.label], row.reason or (None if labels[row.label] else NO_LABEL)
        )
        for row in rows
    ]


def one_spelling(name: str) -> str:
    """``name`` with its accents composed, one space for white space, and without what isn't seen."""
    seen = "".join(char for char in normalize("NFC", name) if category(char) != "Cf")
    return re.sub(r"[^\S\n]+", " ", seen).strip()


def _clean(label: str) -> str:
    label = one_spelling(label)
    if whole := re.fullmatch(r"([+-]?[0-9]+)\.0+", label):
        return re.sub("^[+-](?=0+$)", "", whole[1])
    return "" if label.casefold() in MISSING else label


def _read_rows(path: Path, rows: CsvReader, told: list[str]) -> Iterable[LabelRow]:
    header = [name.strip().lower() for name in next(rows, [])]
    image = next((header.index(name) for name in IMAGE_COLUMNS if name in header), None)
    label = next((header.index(name) for name in LABEL_COLUMNS if name in header), None)
    if image is None or label is None:
        missing = "image" if image is None else "Class or label"
        raise LookalikeError(
            f"{path} has no column {missing} (its columns: {', '.join(header) or 'none'}): rename one."
        )
    for column in (header[image], header[label]):
        if header.count(column) > 1:
            raise LookalikeError(
                f"{path} has several columns {column}: rename all but the one that is meant."
            )
    number, longer = rows.line_num + 1, list[int]()
    for row in rows:
        line, number = number, rows.line_num + 1
        if not row:
            continue
        if any(row[len(header) :]):
            longer.append(line)
        cells = row + [""] * (max(image, label) + 1 - len(row))
        named, labelled = cells[image].strip(), cells[label].strip()
        reason = NO_NAME if not named else NO_LABEL if not labelled else None
        yield LabelRow(line, named, labelled, reason)
    if longer:
        told.append(
            f"{len(longer):,} rows of {path} have more fields than its header, line {longer[0]} for one, and "
            "are cut: put quotes around what holds a comma"
        )


def read_class_names(path: Path) -> dict[str, str]:
    """Read the dev kit's ``cars_meta.mat``: label (``"1"``, ``"2"`` ...) -> class name."""
    try:
        names = np.atleast_1d(loadmat(path, squeeze_me=True)["class_names"])
    except _MAT_ERRORS as error:
        raise LookalikeError(
            f"{path} holds no class names: take cars_meta.mat from the data set's dev kit."
        ) from error
    return {str(number): str(name) for number, name in enumerate(names, start=1)}
