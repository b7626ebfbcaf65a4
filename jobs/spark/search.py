"""Search an opened index with Spark, one task per part."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.lsh.sketch import Floats
from jobs.lsh.splits import Ids
from jobs.search.opened import OpenIndex, encoded
from jobs.spark.parts import over_parts
from jobs.store.packed import Part

FOUND = "query long, distance float, id binary"


def search_by_spark(
    spark: SparkSession,
    index: OpenIndex,
    queries: Floats,
    own: Sequence[str | None],
    k: int,
    *,
    exact: bool = False,
) -> tuple[Ids, Floats]:
    """The same answer as ``index.search``, in one Spark job; each task sends k rows per query."""
    # Thousands of queries are megabytes, so they are broadcast: sent once per machine, not per task. As
    # bytes, because with encryption PySpark can't broadcast arrays (its stream takes no PickleBuffer).
    task = (index.way(k, exact=exact), queries, encoded(own))
    sent = spark.sparkContext.broadcast(pickle.dumps(task))

    def find(name: str) -> pa.RecordBatch:
        way, queries, excluded = pickle.loads(sent.value)  # noqa: S301 - sent by this job
        ids, distances = way.search(Part.open(name), queries, excluded, k)
        numbers = np.broadcast_to(np.arange(len(queries))[:, None], ids.shape)
        id_column = pa.array(ids.ravel().tolist(), pa.binary())
        return pa.record_batch({"query": numbers.ravel(), "distance": distances.ravel(), "id": id_column})

    nearest = F.slice(F.sort_array(F.collect_list(F.struct("distance", "id"))), 1, k)
    answers = over_parts(spark, index.packed, find, FOUND).groupBy("query").agg(nearest.alias("nearest"))
    rows = sorted(answers.collect(), key=lambda row: row["query"])
    return (
        np.array([[pair["id"] for pair in row["nearest"]] for row in rows], "S32"),
        np.array([[pair["distance"] for pair in row["nearest"]] for row in rows], np.float32),
    )
