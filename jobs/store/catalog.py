"""The catalog on disk: one row per picture file; files that can't be used stay in it with the reason.

Each catalog is a folder ``catalog/<hash of its content>/`` that never changes, so a run keeps its own catalog
whatever other runs do meanwhile. ``catalog/current`` names the last one, and copies of its files
lie beside it for people: ``catalog.parquet``, ``quarantined.csv`` and the others.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.base.atomic import in_use, staged_directory, staged_file, write_text
from jobs.base.errors import LookalikeError
from jobs.store.documents import FIRST, check_format
from jobs.store.reading import is_whole, readable
from jobs.store.root import CURRENT, DataRoot, name_or_pointer

FORMAT = 2

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("path", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("class_name", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("mode", pa.string()),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("stamp", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
    ],
    metadata={"format": str(FORMAT)},
)
"""``status`` is ``ok`` or ``quarantined``; ``reason`` says why the latter. ``id`` is the
content hash, null if a file could not be read. A file whose ``stamp`` is the same is not read again."""

LABELS_TOLD = "labels.txt"
"""What people should know of how labels were found, a sentence a line."""
PASSED_OVER = "passed_over.csv"
"""What was not taken in, by kind, with what to do; links to folders by name."""
UNMATCHED_ROWS = "unmatched_rows.csv"
"""Rows of label files that name no picture that is there."""
PASSED_OVER_COLUMNS = ("split", "what", "count", "what to do")

Row = dict[str, Any]
"""A row of ``SCHEMA``."""

Beside = Mapping[str, bytes]
"""File name -> content: the files of a catalog beside its rows."""

ROWS, QUARANTINED = "catalog.parquet", "quarantined.csv"
REMEDY = "delete the folder that it is in and run the step catalog again"
QUARANTINED_COLUMNS = ("path", "reason", "split")


def catalog_file(root: DataRoot, name: str = CURRENT) -> Path:
    """The Parquet file of a catalog; of the last one, the copy that people read."""
    return root.catalog / ROWS if name == CURRENT else root.catalog / name / ROWS


def quarantine_file(root: DataRoot) -> Path:
    """CSV: path, reason and split of every quarantined file of the last catalog."""
    return root.catalog / QUARANTINED


def catalog_folder(root: DataRoot, name: str = CURRENT) -> Path:
    """The folder of a catalog; it counts as used. Raises LookalikeError if there is none."""
    folder = root.catalog / name_or_pointer(root.catalog, name, "catalog")
    if not in_use(folder):
        raise LookalikeError(f"{folder} is missing: run the step catalog again.")
    return folder


def read_catalog(root: DataRoot, name: str = CURRENT) -> list[Row]:
    """Read a catalog's rows, sorted by split and path.

    Raises LookalikeError if there is none or it is of another format.
    """
    return _read_rows(catalog_folder(root, name) / ROWS)


def _read_rows(file: Path) -> list[Row]:
    with readable(file, REMEDY), pq.ParquetFile(file) as table:
        found = (table.schema_arrow.metadata or {}).get(b"format", b"%d" % FIRST)
        check_format(file, int(found), FORMAT, REMEDY)
        rows: list[Row] = table.read().to_pylist()
    return rows


def labelled_first(copies: Sequence[Row]) -> list[Row]:
    """Of files with the same bytes those that may stand for all: the labelled ones, else any."""
    return [row for row in copies if row["label"] is not None] or list(copies)


def usable_by_split(rows: Iterable[Row]) -> dict[str, int]:
    """Split -> its usable pictures."""
    return dict(Counter(row["split"] for row in rows if row["status"] == "ok"))


def read_counts(root: DataRoot, name: str = CURRENT) -> dict[str, Any]:
    """The source's name and the counts of a catalog. Raises LookalikeError if they are missing or corrupt."""
    file = catalog_folder(root, name) / "counts.json"
    with readable(file, REMEDY):
        counts: dict[str, Any] = dict(json.loads(file.read_text(encoding="utf-8")))
    return counts


def read_duplicates(root: DataRoot, name: str) -> list[dict[str, str]]:
    """Files whose bytes another file has too: id, path, label, conflict."""
    file = catalog_folder(root, name) / "duplicates.csv"
    with readable(file, REMEDY), file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def read_beside(root: DataRoot, name: str) -> dict[str, bytes]:
    """The files of a catalog that are not made from its rows."""
    folder = catalog_folder(root, name)
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if file.name not in (ROWS, QUARANTINED)
    }


def write_catalog(rows: Iterable[Row], root: DataRoot, beside: Beside | None = None) -> str:
    """Write a catalog, make it the current one, and return its name."""
    ordered = sorted(rows, key=lambda row: (row["split"], row["path"]))
    files = dict(beside or {})
    digest = hashlib.sha256(f"format {FORMAT}\n".encode())
    for row in ordered:
        digest.update(json.dumps([row[name] for name in SCHEMA.names]).encode() + b"\n")
    for file, content in sorted(files.items()):
        digest.update(file.encode() + b"\0" + content)
    folder = root.catalog / digest.hexdigest()[:16]
    quarantined = (row for row in ordered if row["status"] == "quarantined")
    files[QUARANTINED] = csv_of(
        QUARANTINED_COLUMNS, ([row[name] for name in QUARANTINED_COLUMNS] for row in quarantined)
    )
    if not is_whole(folder, lambda: _read_rows(folder / ROWS)):
        with staged_directory(folder) as staging:
            pq.write_table(pa.Table.from_pylist(ordered, schema=SCHEMA), staging / ROWS)
            for file, content in files.items():
                (staging / file).write_bytes(content)
    for file in (ROWS, *files):
        with staged_file(root.catalog / file) as copy:
            shutil.copyfile(folder / file, copy)
    write_text(root.catalog / CURRENT, folder.name + "\n")
    return folder.name


def csv_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file's content, in UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def check_quarantine(rows: Sequence[Row], root: DataRoot, max_quarantined: float) -> None:
    """Raise LookalikeError if more than ``max_quarantined`` (0 to 1) of ``rows`` are quarantined."""
    reasons = Counter(row["reason"] for row in rows if row["status"] == "quarantined")
    bad = reasons.total()
    if bad == len(rows) or bad > max_quarantined * len(rows):
        allowed, remedy = f", more than the {max_quarantined:.0%} allowed", " or raise max_quarantined"
        if bad == len(rows):
            allowed = remedy = ""
        [(reason, count)] = reasons.most_common(1)
        raise LookalikeError(
            f"{bad:,} of {len(rows):,} pictures are quarantined{allowed}, {count:,} of them because: "
            f"{reason}. See all reasons in {quarantine_file(root)}, and fix the files{remedy}."
        )
