"""Vectors and packed hashes in files that a worker maps into memory: it reads all of the codes and
only the vectors that it looks at.

``packed/part-00000.{ids,codes,vectors}.npy`` hold the same pictures in the same order: ids (n,) as 32
bytes each, codes (n, row_bytes) uint8, vectors (n, 512) float32 of length 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.sketch import Floats, Sketch

ROWS = 131_072
"""Pictures a part, about: 256 MB of vectors, which a worker holds while it writes them."""


@dataclass(frozen=True)
class Part:
    """The pictures of one part, mapped into memory."""

    ids: NDArray[np.bytes_]
    codes: NDArray[np.uint8]
    vectors: Floats

    @classmethod
    def open(cls, name: str) -> Part:
        """``name`` is a part's path without ``.ids.npy``."""
        return cls(*(np.load(f"{name}.{kind}.npy", mmap_mode="r") for kind in ("ids", "codes", "vectors")))


def parts(folder: Path) -> list[str]:
    """The names of all parts in ``folder``, for ``Part.open``."""
    return sorted(str(file).removesuffix(".ids.npy") for file in folder.glob("part-*.ids.npy"))


def pack(pictures: DataFrame, sketch: Sketch | None, folder: Path) -> tuple[int, int]:
    """Write ``pictures`` (id, vector, hashes) to ``folder``; return how many, and how many hashes clipped.

    Parts are ranges of ids in their order, so the same pictures make the same files. Without a
    ``sketch`` there are no codes.
    """
    folder.mkdir()
    count = pictures.count()
    rows = pictures.select(
        "id",
        vector_to_array(F.col("vector"), "float32").alias("vector"),
        F.transform("hashes", lambda hash: vector_to_array(hash)[0].cast("int")).alias("hashes"),
    )
    ordered = rows.repartitionByRange(-(-count // ROWS), "id").sortWithinPartitions("id")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        yield _write(list(batches), sketch, folder / f"part-{context.partitionId():05d}")

    told = ordered.mapInArrow(write, "clipped long").collect()
    return count, sum(row["clipped"] for row in told)


def _write(batches: list[pa.RecordBatch], sketch: Sketch | None, name: Path) -> pa.RecordBatch:
    clipped = 0
    if rows := sum(len(batch) for batch in batches):
        table = pa.Table.from_batches(batches).combine_chunks()
        hashes = table["hashes"].combine_chunks().flatten().to_numpy().reshape(rows, -1)
        codes, clipped = sketch.pack(hashes) if sketch else (np.empty((rows, 0), np.uint8), 0)
        vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(rows, -1)
        ids = np.array(table["id"].to_pylist(), "S32")
        for kind, array in (("ids", ids), ("codes", codes), ("vectors", vectors)):
            with open(f"{name}.{kind}.npy", "wb") as file:
                np.save(file, array)
    return pa.record_batch({"clipped": pa.array([clipped], pa.int64())})
