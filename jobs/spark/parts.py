"""Write, read and process packed parts with Spark, one task per part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from jobs.store.packed import Listed, Part, list_parts, part_names

ROWS = 131_072
"""Pictures per part, about: 256 MB of vectors of 512 values, which a worker holds while it writes a part."""

ROW = "id string, vector array<float>, codes binary, norm float, clipped int"
"""The schema of the rows that ``pack`` writes."""


def pack(pictures: DataFrame, count: int, dimension: int, folder: Path) -> None:
    """Write ``count`` ``pictures`` (``ROW``) to ``folder``, in ranges of their ids."""
    folder.mkdir()
    ordered = pictures.repartitionByRange(-(-count // ROWS), "id").sortWithinPartitions("id")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        name = f"part-{context.partitionId():05d}"
        if rows := [batch for batch in batches if len(batch)]:
            Part.of(rows).save(str(folder / name))
            yield pa.record_batch({"name": [name], "pictures": pa.array([sum(map(len, rows))], pa.int64())})

    written = ordered.mapInArrow(write, "name string, pictures long").collect()
    parts = sorted(
        (Listed(name=row["name"], pictures=row["pictures"]) for row in written), key=lambda part: part["name"]
    )
    list_parts(folder, dimension, parts)


def unpack(spark: SparkSession, folder: Path) -> DataFrame:
    """Read ``folder`` back -> ``ROW``."""
    return over_parts(spark, folder, lambda name: Part.open(name).batch(), ROW)


def over_parts(
    spark: SparkSession, folder: Path, make: Callable[[str], pa.RecordBatch], schema: str
) -> DataFrame:
    """Apply ``make`` to each part's name, one Spark task per part."""
    names = part_names(folder)

    def each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                yield make(names[number])

    return spark.range(0, len(names), 1, len(names)).mapInArrow(each, schema)
