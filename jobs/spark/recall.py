"""How many of the true nearest neighbours an index finds, asked of the index itself through Spark."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs.lsh.choice import recall_lower_bound
from jobs.lsh.sketch import Floats
from jobs.lsh.splits import QUERIES
from jobs.search.search import exact_search, sketch_search
from jobs.store.packed import draw
from jobs.store.versions import Index

log = logging.getLogger(__name__)

TIE = 1e-6
"""A neighbour this share farther than the true k-th counts as found: the two are tied."""
RAISES = 10


def recalls(found: Floats, exact: Floats) -> NDArray[np.float64]:
    """The share of the true neighbours that each query found, both by (q, k) distances."""
    there = np.isfinite(exact).sum(axis=1)
    farthest = np.where(np.isfinite(exact), exact, -np.inf).max(axis=1, keepdims=True)
    share: NDArray[np.float64] = (found <= farthest * (1 + TIE)).sum(axis=1) / there
    return share


def measure_recall(
    spark: SparkSession, index: Index, *, k: int, target: float, refined: int, fixed: bool, seed: int
) -> tuple[int, dict[str, Any]]:
    """Compare the index's answers to exact ones on ``QUERIES`` pictures drawn by ``seed``.

    Where the lower bound misses ``target``, a quarter more candidates are refined and other
    pictures asked, up to ten times; not so where ``refined`` is ``fixed``.
    Returns the candidates refined and the manifest's ``recall``.
    """
    for again in range(RAISES):
        ids, queries = draw(index.packed, QUERIES, seed + again)
        search = sketch_search(index, {"refined": refined, "recall": {"k": k}}, k)
        exact = exact_search(index).by_spark(spark, queries, ids, k)[1]
        found = search.by_spark(spark, queries, ids, k)[1]
        shares = recalls(found, exact)
        bound = recall_lower_bound(shares)
        log.info(f"recall@{k} {shares.mean():.3f}, at least {bound:.3f}, with {refined:,} candidates refined")
        if bound >= target or fixed:
            break
        refined += max(1, refined // 4)
    return refined, {
        "k": k,
        "target": target,
        "measured": float(shares.mean()),
        "lower_bound": bound,
        "p10": float(np.quantile(shares, 0.1)),
        "queries": len(ids),
        "distribution": np.bincount(np.round(shares * k).astype(int), minlength=k + 1).tolist(),
    }
