"""Nearest neighbours of many pictures at once, in one Spark job over the packed parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.manifest import Index
from jobs.packed import Part, parts
from jobs.sketch import Floats, Sketch, nearest_by_sketch, nearest_exactly

FOUND = "query long, distance float, id string"


def search_many(
    spark: SparkSession,
    index: Index,
    queries: Floats,
    themselves: Sequence[str | None],
    k: int,
    refined: int | None,
) -> DataFrame:
    """Find the ``k`` pictures nearest to each of ``queries`` (q, 512), unit vectors.

    ``themselves[i]`` is the id of query i where it is in the index, and is left out of its answer.
    ``refined`` candidates, ranked by their hashes, are compared truly; None compares all. Each
    part sends k rows a query.

    Returns a row a query: query (its number), neighbours (array of distance, id; ascending by both).
    """
    names = parts(index.packed)
    sketch = Sketch.load(index.sketch) if refined is not None else None
    share = _share(refined, len(names)) if refined is not None else 0
    own = [id_.encode() if id_ else b"" for id_ in themselves]

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for name in batch["name"].to_pylist():
                yield _find(Part.open(name), sketch, queries, own, k, share)

    files = spark.createDataFrame([(name,) for name in names], "name string").repartition(len(names))
    nearest = F.slice(F.sort_array(F.collect_list(F.struct("distance", "id"))), 1, k)
    found = files.mapInArrow(find, FOUND).groupBy("query").agg(nearest.alias("neighbours"))
    return found.orderBy("query")


def _share(refined: int, parts: int) -> int:
    """Candidates a part, so that no part is likely to hold more of the best: the mean and 3 deviations."""
    mean = refined / parts
    return refined if parts == 1 else int(np.ceil(mean + 3 * np.sqrt(mean)))


def _find(
    part: Part, sketch: Sketch | None, queries: Floats, own: list[bytes], k: int, share: int
) -> pa.RecordBatch:
    # One more than asked for, because a picture finds itself first.
    if sketch is None:
        rows, distances = nearest_exactly(part.vectors, queries, k + 1)
    else:
        rows, distances = nearest_by_sketch(sketch, part.codes, part.vectors, queries, k + 1, share + 1)
    ids = part.ids[rows]
    numbers = np.broadcast_to(np.arange(len(queries))[:, None], rows.shape)
    kept = ids != np.array(own, "S32")[:, None]
    return pa.record_batch(
        {
            "query": numbers[kept],
            "distance": distances[kept],
            "id": pa.array([id_.decode() for id_ in ids[kept]]),
        }
    )
