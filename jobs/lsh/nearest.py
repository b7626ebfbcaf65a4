"""Find the nearest of many vectors: by their packed hashes, or by comparing each.

Both scan blocks of rows for the lowest scores and keep them by one rule: the lowest score, then the
smaller row. The kept rows are re-ranked by exact distance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from jobs.lsh.sketch import Floats, Rows, Sketch

SCORES = 1 << 24
"""Scores held at once: 64 MB."""
FEW = 4
"""Up to so many queries are scored one by one from the packed codes; more share a matrix product."""


def nearest_by_sketch(
    sketch: Sketch,
    packed: NDArray[np.uint8],
    norms: Floats,
    vectors: Floats,
    queries: Floats,
    k: int,
    candidates: int,
    among: Rows | None = None,
) -> tuple[Rows, Floats]:
    """Find the k rows of ``vectors`` nearest to each query, with ``candidates`` re-ranked by exact distance.

    ``packed`` (n, bytes), ``norms`` (n,) and ``vectors`` (n, d) may be memory-mapped; ``queries``
    (q, d). Vectors have length 1. With ``among`` only those rows, which ascend, are searched. Returns row
    numbers and Euclidean distances, (q, min(k, n)), ascending; ties go to the smaller row number.
    """
    if among is not None:
        packed, norms = packed[among], norms[among]
    weights = sketch.weights(queries)
    low, high = (np.zeros((len(queries), packed.shape[1]), np.float32) for _ in range(2))
    low[:], high[:, : weights.shape[1] // 2] = weights[:, 0::2], weights[:, 1::2]

    def score_few(rows: slice) -> Floats:
        scores = np.empty((len(queries), rows.stop - rows.start), np.float32)
        for number, its_scores in enumerate(scores):
            _score(packed[rows], norms[rows], low[number], high[number], its_scores)
        return scores

    def score_many(rows: slice) -> Floats:
        codes = sketch.unpack(packed[rows]).astype(np.float32)
        scores: Floats = weights @ codes.T
        return np.subtract(norms[rows], scores, out=scores)

    score = score_few if len(queries) <= FEW else score_many
    candidate_rows = scan(len(packed), len(queries), max(candidates, k), score)
    return _rerank(vectors, queries, candidate_rows if among is None else among[candidate_rows], k)


def nearest_exactly(
    vectors: Floats, queries: Floats, k: int, among: Rows | None = None
) -> tuple[Rows, Floats]:
    """Find the k rows of ``vectors`` (n, d) nearest to each query (q, d) by blocked matrix products.

    Vectors have length 1. ``among`` and what it returns are as for ``nearest_by_sketch``.
    """
    if among is not None:
        rows, distances = nearest_exactly(vectors[among], queries, k)
        return among[rows], distances

    def score(rows: slice) -> Floats:
        scores: Floats = -queries @ vectors[rows].T
        return scores

    # Twice as many as requested: rounding may swap near ties, which exact distances settle.
    return _rerank(vectors, queries, scan(len(vectors), len(queries), 2 * k, score), k)


def nearest_others(vectors: Floats, queries: Floats, k: int) -> Rows:
    """The k rows exactly nearest to each query, (q, k); query i is row i, if there is one, and left out."""
    found = nearest_exactly(vectors, queries, k + 1)[0]
    return np.array([rows[rows != own][:k] for own, rows in enumerate(found)])


def scan(rows: int, queries: int, keep: int, score: Callable[[slice], Floats]) -> Rows:
    """The ``keep`` rows of lowest score for each query, ascending by row: (q, min(keep, rows)).

    ``score`` gives (q, m) scores of the m rows of a slice.
    """
    keep = min(keep, rows)
    kept = np.empty((queries, 2 * keep + 64), np.int64)
    scores = np.empty(kept.shape, np.float32)
    filled = np.zeros(queries, np.int64)
    limits = np.full(queries, np.inf, np.float32)
    block = max(1024, SCORES // max(1, queries))
    for start in range(0, rows, block):
        found = score(slice(start, min(start + block, rows)))
        _keep_lowest(found, start, keep, scores, kept, filled, limits)
    for number in range(queries):
        filled[number], _ = _thin(scores[number], kept[number], filled[number], keep)
    return kept[:, :keep]


@njit(cache=True, nogil=True, fastmath=True)
def _score(packed: NDArray[np.uint8], norms: Floats, low: Floats, high: Floats, scores: Floats) -> None:
    """One query's scores of rows of packed codes, by its weights of the lower and the higher half-bytes."""
    for row in range(len(packed)):
        total = np.float32(0)
        for pair in range(len(low)):
            byte = packed[row, pair]
            # Numba computes in 64 bits: said to be 8 again, four times as many fit a vector register.
            total += np.float32(np.uint8(byte & np.uint8(15))) * low[pair]
            total += np.float32(np.uint8(byte >> np.uint8(4))) * high[pair]
        scores[row] = norms[row] - total


@njit(cache=True, nogil=True)
def _keep_lowest(
    found: Floats, first: int, keep: int, scores: Floats, kept: Rows, filled: Rows, limits: Floats
) -> None:
    """Take a block's scores in: append what is below a query's limit, and thin what is full."""
    for query in range(len(found)):
        limit, count = limits[query], filled[query]
        for start in range(0, found.shape[1], 64):
            block = found[query, start : start + 64]
            # Nearly always nothing is: the least of 64 is found without a branch for each.
            if count >= keep and not block.min() < limit:
                continue
            for column in range(len(block)):
                # While there are too few, the limit is infinite, and so may scores be.
                if block[column] < limit or (count < keep and block[column] == limit):
                    scores[query, count] = block[column]
                    kept[query, count] = first + start + column
                    count += 1
                    if count == scores.shape[1]:
                        count, limit = _thin(scores[query], kept[query], count, keep)
        limits[query], filled[query] = limit, count


@njit(cache=True, nogil=True)
def _thin(scores: Floats, kept: Rows, count: int, keep: int) -> tuple[int, np.float32]:
    """Leave the ``keep`` lowest of ``count`` scores, in their order; return how many and the highest."""
    if count <= keep:
        return count, np.float32(np.inf)
    limit = np.partition(scores[:count], keep - 1)[keep - 1]
    ties = keep - (scores[:count] < limit).sum()
    left = 0
    for place in range(count):
        score = scores[place]
        if score < limit or (score == limit and ties > 0):
            ties -= score == limit
            scores[left], kept[left] = score, kept[place]
            left += 1
    return left, limit


def _rerank(vectors: Floats, queries: Floats, candidates: Rows, k: int) -> tuple[Rows, Floats]:
    """The k of each query's candidate rows that are nearest by exact distance."""
    found = np.empty((len(queries), min(k, candidates.shape[1])), np.int64)
    distances = np.empty(found.shape, np.float32)
    for number, (query, rows) in enumerate(zip(queries, candidates, strict=True)):
        true = np.sqrt(((vectors[rows] - query) ** 2).sum(axis=1))
        order = np.argsort(true, kind="stable")[: found.shape[1]]
        found[number], distances[number] = rows[order], true[order]
    return found, distances
