"""Measure the recall of an index, searched through Spark."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from pyspark.sql import SparkSession

from jobs.lsh.choice import ALPHA, recall_lower_bound
from jobs.lsh.quality import recalls
from jobs.lsh.splits import GATE, queries_of
from jobs.search.opened import OpenIndex
from jobs.spark.search import search_by_spark
from jobs.store.manifest import Recall
from jobs.store.packed import all_ids, take

log = logging.getLogger(__name__)

TRIES = 10


def measure_recall(
    spark: SparkSession, index: OpenIndex, *, target: float, fixed: bool, seed: int, disjoint: bool
) -> tuple[int, Recall]:
    """Compare the index's answers to exact ones for the queries of the set ``GATE``.

    If the lower bound misses ``target``, a quarter more candidates are re-ranked, up to ``TRIES``
    times; not so if the index's candidates are ``fixed``. Each try is a chance to pass by luck, so the i-th
    may err with probability ``ALPHA / 2**i`` only: by Bonferroni's inequality (Dunn, Multiple Comparisons
    Among Means, 1961) all bounds hold together with probability 1 - ``ALPHA``, whichever try is the last.
    That takes numbers of candidates that don't depend on these queries, and they don't: the first comes
    from other pictures, the rest follow from it. A fixed number is tried once, at ``ALPHA``.

    ``seed`` is the calibration's, which split the pictures; ``disjoint`` says whether what is measured was
    chosen and confirmed by other pictures. Returns the candidates re-ranked, as measured last, and the
    manifest's ``recall``.
    """
    k = index.k
    ids, queries = take(index.parts, np.sort(queries_of(all_ids(index.parts), GATE, seed)))
    if not disjoint:
        log.info("too few pictures for queries of their own: recall is measured on some that calibrated it")
    exact = search_by_spark(spark, index, queries, ids, k, exact=True)[1]
    for tries in range(1, TRIES + 1):
        shares = recalls(search_by_spark(spark, index, queries, ids, k)[1], exact)
        bound = recall_lower_bound(shares, ALPHA if fixed else ALPHA / 2**tries)
        log.info(
            f"recall@{k} {shares.mean():.3f}, at least {bound:.3f}, with {index.candidates:,} candidates"
        )
        if bound >= target or fixed or tries == TRIES:
            break
        index = replace(index, candidates=index.candidates + max(1, index.candidates // 4))
    return index.candidates, {
        "k": k,
        "target": target,
        "measured": float(shares.mean()),
        "lower_bound": bound,
        "p10": float(np.quantile(shares, 0.1)),
        "queries": len(ids),
        "disjoint": disjoint,
        "tries": tries,
        "distribution": np.bincount(np.round(shares * k).astype(int), minlength=k + 1).tolist(),
    }
