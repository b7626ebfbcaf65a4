"""From how many pictures on the packed hashes are faster than looking at every vector."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly
from jobs.search.search import Search
from jobs.store.packed import Part, over_parts
from jobs.store.versions import Index

REPEATS = 9


def measure_crossover(spark: SparkSession, index: Index, search: Search, k: int) -> float | None:
    """Time single queries in a warm worker on a part and on a quarter of it, both ways.

    Each way costs about a + b n for n pictures; returns the n where the two lines cross, 0 where
    hashes are always faster, None where they never are. Spark's own overhead is the same for both
    and left out.
    """

    def measure(name: str) -> pa.RecordBatch:
        return pa.record_batch({"crossover": pa.array([_crossover(Part.open(name), search, k)])})

    # Of the first part; the others have as many pictures.
    told = over_parts(spark, index.packed, measure, "crossover double").first()
    assert told is not None
    crossover: float = told["crossover"]
    return crossover if np.isfinite(crossover) else None


def _crossover(part: Part, search: Search, k: int) -> float:
    sizes = [len(part.ids) // 4, len(part.ids)]
    seconds = np.array([_seconds(part, size, search, k) for size in sizes])
    slopes, starts = np.polyfit(sizes, seconds, 1)
    if slopes[1] <= slopes[0]:
        return np.inf
    return max(0.0, float((starts[0] - starts[1]) / (slopes[1] - slopes[0])))


def _seconds(part: Part, size: int, search: Search, k: int) -> tuple[float, float]:
    """What a query of the first ``size`` pictures takes by their hashes, and exactly: medians, warm."""
    assert search.sketch is not None
    codes, norms, vectors = part.codes[:size], part.norms[:size], part.vectors[:size]
    taken = []
    for repeat in range(REPEATS + 1):
        asked = vectors[repeat : repeat + 1]
        started = time.perf_counter()
        nearest_by_sketch(search.sketch, codes, norms, vectors, asked, k, search.refined)
        between = time.perf_counter()
        nearest_exactly(vectors, asked, k)
        taken.append((between - started, time.perf_counter() - between))
    by_hashes, exactly = np.median(taken[1:], axis=0)
    return float(by_hashes), float(exactly)
