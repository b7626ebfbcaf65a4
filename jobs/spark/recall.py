"""How many of the true nearest neighbours an index finds, asked of the index itself through Spark."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from pyspark.sql import SparkSession

from jobs.lsh.choice import QUERIES, recall_lower_bound
from jobs.lsh.quality import recalls
from jobs.search.opened import OpenIndex
from jobs.spark.search import search_by_spark
from jobs.store.packed import draw
from jobs.store.versions import Recall

log = logging.getLogger(__name__)

RAISES = 10


def measure_recall(
    spark: SparkSession, index: OpenIndex, *, target: float, fixed: bool, seed: int
) -> tuple[int, Recall]:
    """Compare the index's answers to exact ones on ``QUERIES`` pictures drawn by ``seed``.

    Where the lower bound misses ``target``, a quarter more candidates are re-ranked and other
    pictures asked, up to ten times; not so where the index's candidates are ``fixed``.
    Returns the candidates and the manifest's ``recall``.
    """
    k = index.k
    for again in range(RAISES):
        ids, queries = draw(index.parts, QUERIES, seed + again)
        exact = search_by_spark(spark, index, queries, ids, k, exact=True)[1]
        found = search_by_spark(spark, index, queries, ids, k)[1]
        shares = recalls(found, exact)
        bound = recall_lower_bound(shares)
        log.info(
            f"recall@{k} {shares.mean():.3f}, at least {bound:.3f}, with {index.candidates:,} candidates"
        )
        if bound >= target or fixed:
            break
        index = replace(index, candidates=index.candidates + max(1, index.candidates // 4))
    return index.candidates, {
        "k": k,
        "target": target,
        "measured": float(shares.mean()),
        "lower_bound": bound,
        "p10": float(np.quantile(shares, 0.1)),
        "queries": len(ids),
        "distribution": np.bincount(np.round(shares * k).astype(int), minlength=k + 1).tolist(),
    }
