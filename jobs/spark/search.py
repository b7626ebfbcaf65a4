"""Search an opened index with Spark, one task per part."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from pyspark.sql import SparkSession

from jobs.lsh.sketch import Floats
from jobs.lsh.splits import Ids
from jobs.search.opened import OpenIndex, encoded, merged
from jobs.store.packed import Part, part_names


def search_by_spark(
    spark: SparkSession,
    index: OpenIndex,
    queries: Floats,
    own: Sequence[str | None],
    k: int,
    *,
    exact: bool = False,
) -> tuple[Ids, Floats]:
    """The same answer as ``index.search``, in one Spark job; each task finds k rows per query."""
    # Thousands of queries are megabytes, so they are broadcast: sent once per machine, not per task. As
    # bytes, because with encryption PySpark can't broadcast arrays (its stream takes no PickleBuffer).
    task = (index.way(k, exact=exact), queries, encoded(own))
    sent = spark.sparkContext.broadcast(pickle.dumps(task))

    def find(name: str) -> tuple[Ids, Floats]:
        way, queries, excluded = pickle.loads(sent.value)  # noqa: S301 - sent by this job
        found: tuple[Ids, Floats] = way.search(Part.open(name), queries, excluded, k)
        return found

    def nearer(one: tuple[Ids, Floats], other: tuple[Ids, Floats]) -> tuple[Ids, Floats]:
        return merged((one, other), k)

    names = part_names(index.packed)
    # Not a DataFrame: planning and compiling its query took four seconds of the first search.
    found: tuple[Ids, Floats] = spark.sparkContext.parallelize(names, len(names)).map(find).treeReduce(nearer)
    return found
