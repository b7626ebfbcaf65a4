"""Vectors and packed hashes in files that a worker maps into memory: it reads all of the codes and
only the vectors that it looks at.

``packed/part-00000.{ids,codes,norms,clipped,vectors}.npy`` hold the same pictures in the same order: ids
(n,) as 32 bytes each; codes (n, bytes) uint8 and norms (n,) float32 as ``Sketch`` makes them; how many of
a picture's hashes were clipped, (n,) uint16; vectors (n, 512) float32 of length 1. Ids ascend, within a
part and from part to part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from jobs.lsh.sketch import Floats

ROWS = 131_072
"""Pictures a part, about: 256 MB of vectors, which a worker holds while it writes them."""

ROW = "id string, vector array<float>, codes binary, norm float, clipped int"
"""A picture as Spark hands it to ``pack``."""


@dataclass(frozen=True)
class Part:
    """The pictures of one part, mapped into memory."""

    ids: NDArray[np.bytes_]
    codes: NDArray[np.uint8]
    norms: Floats
    clipped: NDArray[np.uint16]
    vectors: Floats

    @classmethod
    def open(cls, name: str) -> Part:
        """``name`` is a part's path without ``.ids.npy``."""
        return cls(*(np.load(f"{name}.{field.name}.npy", mmap_mode="r") for field in fields(cls)))

    def save(self, name: str) -> None:
        for kind, array in vars(self).items():
            with open(f"{name}.{kind}.npy", "wb") as file:
                np.save(file, array)

    def batch(self) -> pa.RecordBatch:
        """The pictures as ``ROW``."""
        return pa.record_batch(
            {
                "id": pa.array(self.ids.astype(str).tolist()),
                "vector": _lists(self.vectors),
                "codes": pa.array([row.tobytes() for row in self.codes], pa.binary()),
                "norm": pa.array(self.norms),
                "clipped": pa.array(self.clipped.astype(np.int32)),
            }
        )

    @classmethod
    def of(cls, batches: list[pa.RecordBatch]) -> Part:
        """The opposite of ``batch``, of several."""
        table = pa.Table.from_batches(batches).combine_chunks()
        rows = len(table)
        codes = np.frombuffer(b"".join(table["codes"].to_pylist()), np.uint8)
        return cls(
            np.array(table["id"].to_pylist(), "S32"),
            codes.reshape(rows, -1),
            table["norm"].to_numpy(),
            table["clipped"].to_numpy().astype(np.uint16),
            array_of(table["vector"]),
        )


def parts(folder: Path) -> list[str]:
    """The names of all parts in ``folder``, for ``Part.open``."""
    return sorted(str(file).removesuffix(".ids.npy") for file in folder.glob("part-*.ids.npy"))


def pack(pictures: DataFrame, count: int, folder: Path) -> None:
    """Write ``count`` ``pictures`` (``ROW``) to ``folder``, in ranges of their ids."""
    folder.mkdir()
    ordered = pictures.repartitionByRange(-(-count // ROWS), "id").sortWithinPartitions("id")

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        if rows := [batch for batch in batches if len(batch)]:
            Part.of(rows).save(str(folder / f"part-{context.partitionId():05d}"))
        yield pa.record_batch({"rows": pa.array([sum(map(len, rows))], pa.int64())})

    ordered.mapInArrow(write, "rows long").collect()


def unpack(spark: SparkSession, folder: Path) -> DataFrame:
    """Read ``folder`` back -> ``ROW``."""
    return over_parts(spark, folder, lambda name: Part.open(name).batch(), ROW)


def draw(folder: Path, count: int, seed: int) -> tuple[list[str], Floats]:
    """Ids and vectors of ``count`` pictures at random, the same for the same seed."""
    there = sum(len(Part.open(name).ids) for name in parts(folder))
    return take(folder, np.sort(np.random.default_rng(seed).permutation(there)[:count]))


def all_ids(folder: Path) -> NDArray[np.bytes_]:
    """The ids of all pictures, part after part."""
    return np.concatenate([Part.open(name).ids for name in parts(folder)])


def take(folder: Path, rows: NDArray[np.int64]) -> tuple[list[str], Floats]:
    """Ids and vectors of some rows of ``all_ids``, given in ascending order."""
    opened = [Part.open(name) for name in parts(folder)]
    starts = np.cumsum([0, *(len(part.ids) for part in opened)])
    chosen = [
        (part, rows[(rows >= start) & (rows < start + len(part.ids))] - start)
        for part, start in zip(opened, starts[:-1], strict=True)
    ]
    ids = np.concatenate([part.ids[within] for part, within in chosen])
    return ids.astype(str).tolist(), np.concatenate([part.vectors[within] for part, within in chosen])


def over_parts(
    spark: SparkSession, folder: Path, make: Callable[[str], pa.RecordBatch], schema: str
) -> DataFrame:
    """What ``make`` makes of the name of each part, a task a part."""
    names = parts(folder)

    def each(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                yield make(names[number])

    return spark.range(0, len(names), 1, len(names)).mapInArrow(each, schema)


def array_of(lists: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """A column of n lists of d numbers -> (n, d)."""
    one = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    array: NDArray[Any] = one.flatten().to_numpy().reshape(len(one), -1)
    return array


def _lists(array: NDArray[Any]) -> pa.ListArray:
    offsets = np.arange(len(array) + 1, dtype=np.int32) * array.shape[1]
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(array).ravel())
