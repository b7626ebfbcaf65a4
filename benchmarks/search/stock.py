"""How much Spark's own approxNearestNeighbors compares and how long it takes, with its best parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyspark.ml.feature import BucketedRandomProjectionLSH
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from benchmarks.measuring.taken import median_seconds
from benchmarks.search.hashed import TARGET, K, draw_planes
from jobs.lsh.choice import recall_lower_bound
from jobs.lsh.sketch import Floats, Rows

MOST_TABLES = 40
WIDTHS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)
"""Bucket lengths tried, in the projected distance between fifth neighbours."""


@dataclass(frozen=True)
class Stock:
    """The parameters with which equal buckets reach the target at the least cost."""

    share: float
    """Of all pictures, those that a query compares: with an equal hash in any table."""
    bucket_length: float
    tables: int


def best_stock(vectors: Floats, queries: Rows, true: Rows, scale: float, seed: int) -> Stock:
    """The best of ``WIDTHS`` and 1 to ``MOST_TABLES`` tables over whole (n, 512) ``vectors``.

    ``queries`` (q,) are the rows of the query pictures and ``true`` (q, k) their neighbours; ``scale`` is
    the projected distance between fifth neighbours.
    """
    projected = vectors @ draw_planes(seed, MOST_TABLES, vectors.shape[1]).T
    # If nothing else reaches the target, buckets that hold everything do.
    best = Stock(1.0, max(WIDTHS) * scale, MOST_TABLES)
    for width in WIDTHS:
        hashes = np.floor(projected / (width * scale)).astype(np.int32)
        candidate = np.zeros((len(queries), len(hashes)), bool)
        for tables, hash in enumerate(hashes.T, start=1):
            candidate |= hash[queries][:, None] == hash[None]
            share = float(candidate.mean())
            recalls = np.take_along_axis(candidate, true, 1).mean(axis=1)
            if recall_lower_bound(recalls) >= TARGET and share < best.share:
                best = Stock(share, width * scale, tables)
    return best


def seconds_a_query(spark: SparkSession, pictures: Path, stock: Stock, queries: Floats, seed: int) -> float:
    """The median seconds of approxNearestNeighbors over ``pictures`` (Parquet: vector), hashed and cached.

    The first of (q, 512) queries only warms up.
    """
    vectors = spark.read.parquet(str(pictures)).select("id", "vector")
    model = BucketedRandomProjectionLSH(
        inputCol="vector",
        outputCol="hashes",
        bucketLength=stock.bucket_length,
        numHashTables=stock.tables,
        seed=seed,
    ).fit(vectors)
    hashed = model.transform(vectors).cache()
    hashed.count()
    keys = [Vectors.dense(query.astype(float)) for query in queries]

    def ask(turn: int) -> object:
        return model.approxNearestNeighbors(hashed, keys[turn], K + 1).collect()

    taken = median_seconds(ask, len(keys) - 1)
    hashed.unpersist()
    return taken


def summed_differences(
    vectors: Floats, queries: Rows, true: Rows, scale: float, tables: int, seed: int
) -> Rows:
    """The rank, from 0, of each true neighbour by the summed squared difference of hashes, like ``true``."""
    hashes = np.floor(vectors @ draw_planes(seed, tables, vectors.shape[1]).T / scale).astype(np.float32)
    ranks = np.empty(true.shape, np.int64)
    norms = (hashes**2).sum(axis=1)
    for number, (row, neighbours) in enumerate(zip(queries, true, strict=True)):
        scores = norms - 2 * hashes @ hashes[row]
        scores[row] = np.inf
        ranks[number] = (scores < scores[neighbours][:, None]).sum(axis=1)
    return ranks
