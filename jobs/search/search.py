"""Search an index: its parts one after the other in this process, or all at once by Spark."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly
from jobs.lsh.sketch import Floats, Sketch
from jobs.store.packed import Part, over_parts, parts
from jobs.store.versions import Index

Ids = NDArray[np.bytes_]

FOUND = "query long, distance float, id binary"


@dataclass(frozen=True)
class Search:
    """A way to search the packed parts of one index; every way gives the same kind of answer.

    An answer is ids (q, k), 32 bytes each, and Euclidean distances (q, k), ascending by distance and
    then id; where there are fewer than k other pictures, the rest is ``b""`` and infinity. A query
    of the index is left out of its own answer.
    """

    folder: Path
    sketch: Sketch | None
    """None: all vectors are compared."""
    refined: int = 0
    """Candidates that each part compares truly, with a sketch."""

    def here(self, queries: Floats, own: Sequence[str | None], k: int) -> tuple[Ids, Floats]:
        """Search for (q, 512) unit vectors; ``own[i]`` is the id of query i where it is in the index."""
        excluded = _encoded(own)
        found = [self._in_part(name, queries, excluded, k) for name in parts(self.folder)]
        ids, distances = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
        return _first(ids, distances, k)

    def by_spark(
        self, spark: SparkSession, queries: Floats, own: Sequence[str | None], k: int
    ) -> tuple[Ids, Floats]:
        """The same in one Spark job, a task a part, each of which sends k rows a query."""
        # Thousands of queries are megabytes: sent to each machine once, not with each task. As bytes,
        # because where Spark encrypts, PySpark fails to broadcast arrays (its stream takes no PickleBuffer).
        question = spark.sparkContext.broadcast(pickle.dumps((self, queries, _encoded(own))))

        def find(name: str) -> pa.RecordBatch:
            search, queries, excluded = pickle.loads(question.value)  # noqa: S301 - sent by this very job
            ids, distances = search._in_part(name, queries, excluded, k)
            numbers = np.broadcast_to(np.arange(len(queries))[:, None], ids.shape)
            found = pa.array(ids.ravel().tolist(), pa.binary())
            return pa.record_batch({"query": numbers.ravel(), "distance": distances.ravel(), "id": found})

        nearest = F.slice(F.sort_array(F.collect_list(F.struct("distance", "id"))), 1, k)
        found = over_parts(spark, self.folder, find, FOUND).groupBy("query").agg(nearest.alias("nearest"))
        rows = sorted(found.collect(), key=lambda row: row["query"])
        return (
            np.array([[one["id"] for one in row["nearest"]] for row in rows], "S32"),
            np.array([[one["distance"] for one in row["nearest"]] for row in rows], np.float32),
        )

    def _in_part(self, name: str, queries: Floats, excluded: Ids, k: int) -> tuple[Ids, Floats]:
        part = Part.open(name)
        # One more than asked for, because a picture finds itself first.
        if self.sketch is None:
            rows, distances = nearest_exactly(part.vectors, queries, k + 1)
        else:
            rows, distances = nearest_by_sketch(
                self.sketch, part.codes, part.norms, part.vectors, queries, k + 1, self.refined + 1
            )
        ids: Ids = part.ids[rows]
        itself = ids == excluded[:, None]
        ids[itself], distances[itself] = b"", np.inf
        return _first(ids, distances, k)


def exact_search(index: Index) -> Search:
    return Search(index.packed, None)


def sketch_search(index: Index, manifest: dict[str, Any], k: int) -> Search:
    """By packed hashes; candidates in proportion where k is above the k that was calibrated."""
    refined = math.ceil(manifest["refined"] * max(1.0, k / manifest["recall"]["k"]))
    return Search(
        index.packed, Sketch.load(index.sketch), candidates_a_part(refined, len(parts(index.packed)))
    )


def index_search(index: Index, k: int) -> Search:
    """The way that was calibrated for this index: by packed hashes or, where it is small, exactly."""
    manifest = index.manifest()
    exactly = manifest["search"] == "exact"
    return exact_search(index) if exactly else sketch_search(index, manifest, k)


def candidates_a_part(refined: int, parts: int) -> int:
    """So many that a part rarely misses one of the ``refined`` best: the mean and one deviation."""
    mean = refined / parts
    return refined if parts == 1 else math.ceil(mean + math.sqrt(mean))


def _encoded(own: Sequence[str | None]) -> Ids:
    return np.array([(id_ or "-").encode() for id_ in own], "S32")


def _first(ids: Ids, distances: Floats, k: int) -> tuple[Ids, Floats]:
    """The k nearest of (q, m); ids must ascend where distances are equal."""
    if missing := max(0, k - ids.shape[1]):
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=b"")
        distances = np.pad(distances, ((0, 0), (0, missing)), constant_values=np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(distances, order, 1)
