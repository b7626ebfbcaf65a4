"""How many of the true nearest neighbours an index finds, asked of the index itself through Spark."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs.calibration import recall_lower_bound
from jobs.manifest import Index
from jobs.packed import Part, parts
from jobs.search import search_many
from jobs.sketch import Floats

log = logging.getLogger(__name__)

QUERIES = 1_000
TIE = 1e-6
"""A neighbour this share farther than the true k-th counts as found: the two are tied."""
RAISES = 10


def measure_recall(
    spark: SparkSession, index: Index, *, k: int, target: float, refined: int, fixed: bool, seed: int
) -> tuple[int, dict[str, Any]]:
    """Compare the index's answers to exact ones on ``QUERIES`` pictures drawn by ``seed``.

    Where the lower bound misses ``target``, a quarter more candidates are refined and other
    pictures asked, up to ten times; not so where ``refined`` is ``fixed``.
    Returns the candidates refined and the manifest's ``recall``.
    """
    for again in range(RAISES):
        ids, queries = _draw(index, seed + again)
        exact = _distances(spark, index, queries, ids, k, None)
        found = _distances(spark, index, queries, ids, k, refined)
        # (q, k) distances: how many of those found are as near as the true k-th.
        recalls = (found <= exact[:, -1:] * (1 + TIE)).sum(axis=1) / exact.shape[1]
        bound = recall_lower_bound(recalls)
        log.info(
            f"recall@{k} {recalls.mean():.3f}, at least {bound:.3f}, with {refined:,} candidates refined"
        )
        if bound >= target or fixed:
            break
        refined += max(1, refined // 4)
    return refined, {
        "k": k,
        "target": target,
        "measured": float(recalls.mean()),
        "lower_bound": bound,
        "p10": float(np.quantile(recalls, 0.1)),
        "queries": len(ids),
    }


def _draw(index: Index, seed: int) -> tuple[list[str], Floats]:
    """Ids and vectors of pictures drawn at random, the same for the same seed."""
    opened = [Part.open(name) for name in parts(index.packed)]
    sizes = np.cumsum([0] + [len(part.ids) for part in opened])
    rows = np.sort(np.random.default_rng(seed).permutation(sizes[-1])[:QUERIES])
    ids, vectors = [], []
    for part, start, end in zip(opened, sizes, sizes[1:], strict=False):
        within = rows[(rows >= start) & (rows < end)] - start
        ids += [id_.decode() for id_ in part.ids[within]]
        vectors.append(part.vectors[within])
    return ids, np.concatenate(vectors)


def _distances(
    spark: SparkSession, index: Index, queries: Floats, ids: list[str], k: int, refined: int | None
) -> NDArray[np.float64]:
    rows = search_many(spark, index, queries, ids, k, refined).collect()
    return np.array([[found["distance"] for found in row["neighbours"]] for row in rows], float)
