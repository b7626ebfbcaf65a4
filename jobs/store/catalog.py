"""The catalog on disk: one row a picture file, those that can't be used with the reason."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.base.atomic import staged_file
from jobs.base.errors import LookalikeError
from jobs.store.root import DataRoot

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
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)
"""``status`` is ``ok`` or ``quarantined``; ``reason`` says why the latter. ``id`` is the
content hash, null where a file could not be read."""

DEFAULT_MAX_QUARANTINED = 0.2
"""Share of quarantined files above which a run fails."""

Row = dict[str, Any]


QUARANTINED_COLUMNS = ("path", "reason", "split")


def catalog_file(root: DataRoot) -> Path:
    return root.catalog / "catalog.parquet"


def quarantine_file(root: DataRoot) -> Path:
    """CSV: path, reason and split of every quarantined file."""
    return root.catalog / "quarantined.csv"


def read_catalog(root: DataRoot) -> list[Row]:
    """Read the catalog's rows, sorted by split and path.

    Raises LookalikeError where there is none.
    """
    file = catalog_file(root)
    if not file.is_file():
        raise LookalikeError(f"{file} is missing: run the step catalog first.")
    with pq.ParquetFile(file) as table:
        rows: list[Row] = table.read().to_pylist()
    return rows


def read_counts(root: DataRoot) -> dict[str, Any]:
    """The source's name and the counts of the last catalog."""
    counts: dict[str, Any] = json.loads((root.catalog / "counts.json").read_text(encoding="utf-8"))
    return counts


def write_catalog(rows: Iterable[Row], root: DataRoot) -> None:
    """Replace the catalog in one step, and then the list of what it quarantines."""
    ordered = sorted(rows, key=lambda row: (row["split"], row["path"]))
    with staged_file(catalog_file(root)) as staging:
        pq.write_table(pa.Table.from_pylist(ordered, schema=SCHEMA), staging)
    quarantined = (row for row in ordered if row["status"] == "quarantined")
    write_csv(
        quarantine_file(root),
        QUARANTINED_COLUMNS,
        ([row[name] for name in QUARANTINED_COLUMNS] for row in quarantined),
    )


def write_csv(target: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace ``target`` by a CSV (UTF-8) in one step."""
    with staged_file(target) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def check_quarantine(rows: Sequence[Row], root: DataRoot, max_quarantined: float) -> None:
    """Raise LookalikeError where more than ``max_quarantined`` (0 to 1) of ``rows`` are quarantined."""
    bad = sum(row["status"] == "quarantined" for row in rows)
    if bad == len(rows) or bad > max_quarantined * len(rows):
        raise LookalikeError(
            f"{bad:,} of {len(rows):,} pictures are quarantined, more than the {max_quarantined:.0%} "
            f"allowed: see their reasons in {catalog_file(root)}, mend the files or raise the share."
        )
