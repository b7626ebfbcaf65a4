"""Indexes of real embeddings, built by the steps: do they keep their predicted recall, how fast are they
against Spark's own search, and are their answers as good as exact ones?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measuring.shown import Quantity, in_one, number, part, percent, say, spread, table
from benchmarks.measuring.taken import median_seconds
from benchmarks.search.hashed import K
from benchmarks.search.stock import Stock, seconds_a_query
from jobs.calibrate import calibrate_vectors
from jobs.index import LshParams, build_index
from jobs.lsh.quality import class_measures
from jobs.search.opened import OpenIndex, open_for_search
from jobs.spark.search import search_by_spark
from jobs.spark.session import spark_session
from jobs.store.packed import draw
from jobs.store.root import DataRoot
from jobs.store.vectors import open_vectors
from jobs.store.versions import Index
from jobs.vectors import assemble_vectors

BATCH, REPEATS = 1_000, 5
STOCK_QUERIES = 12


@dataclass(frozen=True)
class Built:
    """The results of the index of one seed; times are seconds per query."""

    candidates: float
    """Share of all pictures that are re-ranked."""
    predicted: float
    measured: float
    precision: float
    """Precision@5 of the index over that of exact search, with every picture as a query."""
    batch: float
    """``BATCH`` queries in one Spark job."""
    exact_batch: float
    """The same, all vectors compared."""
    single: float
    """One query in a Spark job."""
    here: float
    """One query without Spark."""
    stock: float


def build(root: DataRoot, fingerprint: str, seed: int, stock: Stock) -> Built:
    """Build the index of ``seed`` in ``root`` and search it."""
    say(f"index of seed {seed}")
    assemble_vectors(root, fingerprint)
    calibrate_vectors(root, seed=seed)
    index = build_index(root, LshParams())
    manifest = index.manifest()
    recall = manifest["recall"]
    predicted = recall["predicted"]
    assert predicted is not None
    opened = open_for_search(index)
    ids, queries = draw(opened.parts, BATCH, seed)
    with spark_session("benchmark") as spark:
        batch = median_seconds(lambda turn: search_by_spark(spark, opened, queries, ids, K), REPEATS)
        exact_batch = median_seconds(
            lambda turn: search_by_spark(spark, opened, queries, ids, K, exact=True), REPEATS
        )
        single = median_seconds(
            lambda turn: search_by_spark(spark, opened, queries[turn : turn + 1], ids[turn : turn + 1], K),
            2 * REPEATS,
        )
        pictures = open_vectors(root).pictures
        by_stock = seconds_a_query(spark, pictures, stock, queries[:STOCK_QUERIES], seed)
    here = median_seconds(
        lambda turn: opened.search(queries[turn : turn + 1], ids[turn : turn + 1], K), 2 * REPEATS
    )
    precision = _precision(index, opened, exact=False) / _precision(index, opened, exact=True)
    return Built(
        manifest["candidates_fraction"],
        predicted,
        recall["measured"],
        precision,
        batch / len(ids),
        exact_batch / len(ids),
        single,
        here,
        by_stock,
    )


def _precision(index: Index, opened: OpenIndex, *, exact: bool) -> float:
    captions = index.captions()
    ids, vectors = draw(opened.parts, len(captions), seed=0)
    neighbours, _ = opened.search(vectors, ids, K, exact=exact)
    # Pictures drawn, captions and packed parts all ascend by id.
    _, classes = np.unique([row["label"] for row in captions], return_inverse=True)
    rows = np.searchsorted(np.array(ids, "S32"), neighbours)
    return class_measures(classes[rows], classes, np.ones_like(classes)).precision_at_5


def show_built(pictures: int, by_seed: Sequence[Built]) -> list[Quantity]:
    """Print the results of all seeds."""
    missed = [abs(built.predicted - built.measured) for built in by_seed]
    precision = [built.precision for built in by_seed]
    batch = [built.batch / built.stock for built in by_seed]
    spark = [1e3 * (built.single - built.here) for built in by_seed]
    values = {
        "re-ranked per query": spread([built.candidates for built in by_seed], percent),
        "recall@5, predicted": spread([built.predicted for built in by_seed], "{:.4f}".format),
        "recall@5, measured": spread([built.measured for built in by_seed], "{:.4f}".format),
        "difference of these": spread(missed, "{:.4f}".format),
        "precision@5, index against exact": spread(precision, "{:.4f}".format),
    }
    for name, seconds in (
        (f"{BATCH:,} queries in one Spark job, ms per query", [built.batch for built in by_seed]),
        ("the same exactly, ms per query", [built.exact_batch for built in by_seed]),
        ("one query in a Spark job, ms", [built.single for built in by_seed]),
        ("stock, one by one, hashes cached, ms", [built.stock for built in by_seed]),
    ):
        values[name] = spread([1e3 * value for value in seconds], number)
    values["of one query in a Spark job, Spark's own part, ms"] = spread(spark, number)
    values[f"{BATCH:,} queries in one Spark job against stock"] = spread(batch, part)
    values["one query in a Spark job, times stock"] = spread(
        [built.single / built.stock for built in by_seed], number
    )
    table(
        f"Indexes built by the steps, {pictures:,} pictures, {len(by_seed)} seeds:",
        ["", "median", "least", "most"],
        [[name, *cells] for name, cells in values.items()],
    )
    return [
        Quantity("recall@5, predicted and measured", in_one(missed, "{:.4f}".format), "at most 0.01 apart"),
        Quantity("precision@5, index against exact", in_one(precision, "{:.4f}".format), "at least 0.995"),
        Quantity(f"{BATCH:,} queries in one Spark job against stock", in_one(batch, part), "at most 1/100"),
    ]
