"""How many of the true nearest neighbours an index finds, asked of the index itself through Spark."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs.lsh.choice import ALPHA, recall_lower_bound
from jobs.lsh.sketch import Floats
from jobs.lsh.splits import GATE, queries_of
from jobs.search.search import exact_search, sketch_search
from jobs.store.packed import all_ids, take
from jobs.store.versions import Index

log = logging.getLogger(__name__)

TIE = 1e-6
"""A neighbour this share farther than the true k-th counts as found: the two are tied."""
TRIES = 10


def recalls(found: Floats, exact: Floats) -> NDArray[np.float64]:
    """The share of the true neighbours that each query found, both by (q, k) distances."""
    there = np.isfinite(exact).sum(axis=1)
    farthest = np.where(np.isfinite(exact), exact, -np.inf).max(axis=1, keepdims=True)
    share: NDArray[np.float64] = (found <= farthest * (1 + TIE)).sum(axis=1) / there
    return share


def measure_recall(
    spark: SparkSession,
    index: Index,
    *,
    k: int,
    target: float,
    refined: int,
    fixed: bool,
    seed: int,
    disjoint: bool,
) -> tuple[int, dict[str, Any]]:
    """Compare the index's answers to exact ones for the queries of the set ``GATE``.

    Where the lower bound misses ``target``, a quarter more candidates are re-ranked, up to ``TRIES``
    times; not so where ``refined`` is ``fixed``. Each try is a chance to pass by luck, so the i-th may err
    with probability ``ALPHA / 2**i`` only: by Bonferroni's inequality (Dunn, Multiple Comparisons Among
    Means, 1961) all bounds hold together with probability 1 - ``ALPHA``, whichever try is the last. That
    takes numbers of candidates that don't depend on these queries, and they don't: the first comes
    from other pictures, the rest follow from it. A fixed number is tried once, at ``ALPHA``.

    ``seed`` is the calibration's, which split the pictures; ``disjoint`` says whether what is measured was
    chosen and confirmed by other pictures. Returns the candidates re-ranked, as measured last, and the
    manifest's ``recall``.
    """
    ids, queries = take(index.packed, np.sort(queries_of(all_ids(index.packed), GATE, seed)))
    if not disjoint:
        log.info("too few pictures for queries of their own: recall is measured on some that calibrated it")
    exact = exact_search(index).by_spark(spark, queries, ids, k)[1]
    for tries in range(1, TRIES + 1):
        search = sketch_search(index, {"refined": refined, "recall": {"k": k}}, k)
        shares = recalls(search.by_spark(spark, queries, ids, k)[1], exact)
        bound = recall_lower_bound(shares, ALPHA if fixed else ALPHA / 2**tries)
        log.info(
            f"recall@{k} {shares.mean():.3f}, at least {bound:.3f}, with {refined:,} candidates re-ranked"
        )
        if bound >= target or fixed or tries == TRIES:
            break
        refined += max(1, refined // 4)
    return refined, {
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
