"""Recall against the share of pictures compared, for every number of candidates or hash tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.lsh.sketch import Floats, Rows, Sketch
from jobs.store.packed import Part

BLOCK = 16_384

Codes = NDArray[np.uint8]


def sketch_frontier(
    opened: Sequence[Part], sketch: Sketch, queries: Floats, own: Rows, true: Rows
) -> list[list[float]]:
    """[share re-ranked, recall] for growing numbers of candidates, ranked by the sketch.

    ``queries`` (q, d) are pictures ``own`` (q,) of the index, ``true`` (q, k) their exact
    neighbours, both as row numbers over all parts in order.
    """
    weights = sketch.weights(queries)

    def scores_of(rows: Rows) -> Floats:
        codes, norms = _rows(opened, sketch, rows.ravel())
        codes = codes.reshape(*rows.shape, -1).astype(np.float32)
        scores: Floats = norms.reshape(rows.shape) - np.einsum("qkl,ql->qk", codes, weights)
        return scores

    of_true, of_own = scores_of(true), scores_of(own[:, None])
    # A picture isn't a candidate for itself.
    ranks = -(of_own < of_true).astype(np.int64)
    for codes, norms in _blocks(opened, sketch):
        scores = norms - weights @ codes.T.astype(np.float32)
        for place in range(true.shape[1]):
            ranks[:, place] += (scores < of_true[:, place : place + 1]).sum(axis=1)
    pictures = sum(len(part.ids) for part in opened)
    counts = np.unique(np.geomspace(true.shape[1], pictures, 80).astype(int))
    return [[float(count / pictures), float((ranks < count).mean())] for count in counts]


def stock_frontier(opened: Sequence[Part], sketch: Sketch, own: Rows, true: Rows) -> list[list[float]]:
    """[share compared, recall, tables] of Spark's search: an equal hash in any of 1, 2, 3 ... tables."""
    of_own = _rows(opened, sketch, own)[0]
    of_true = _rows(opened, sketch, true.ravel())[0].reshape(*true.shape, -1)
    recalls = np.logical_or.accumulate(of_true == of_own[:, None], axis=2).mean(axis=(0, 1))
    tables = of_own.shape[1]
    compared = np.zeros(tables)
    pictures = 0
    for codes, _ in _blocks(opened, sketch):
        pictures += len(codes)
        candidate = np.zeros((len(own), len(codes)), bool)
        for table in range(tables):
            candidate |= of_own[:, table, None] == codes[:, table]
            compared[table] += candidate.sum()
    compared /= pictures * len(own)
    return [[float(compared[table]), float(recalls[table]), table + 1] for table in range(tables)]


def _blocks(opened: Sequence[Part], sketch: Sketch) -> Iterator[tuple[Codes, Floats]]:
    """Codes (m, L) and norms (m,) of all pictures, block by block."""
    for part in opened:
        for start in range(0, len(part.ids), BLOCK):
            rows = slice(start, start + BLOCK)
            yield sketch.unpack(part.codes[rows]), part.norms[rows]


def _rows(opened: Sequence[Part], sketch: Sketch, rows: Rows) -> tuple[Codes, Floats]:
    """Codes (m, L) and norms (m,) of some rows, numbered over all parts in order."""
    packed = np.empty((len(rows), opened[0].codes.shape[1]), np.uint8)
    norms = np.empty(len(rows), np.float32)
    first = 0
    for part in opened:
        within = (rows >= first) & (rows < first + len(part.ids))
        packed[within], norms[within] = part.codes[rows[within] - first], part.norms[rows[within] - first]
        first += len(part.ids)
    return sketch.unpack(packed), norms
