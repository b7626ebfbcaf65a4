"""Pairs of pictures that are nearly the same, among the stored neighbours of an index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jobs.lsh.sketch import Floats

NEAR = 0.5
"""Two pictures nearer than this share of the usual distance to another picture are near-duplicates."""

JUMP = 4
"""Behind a picture's copies the distance to the next picture is at least so many times as large."""

Pairs = dict[tuple[int, int], float]
"""Rows of two pictures, the lower one first -> their Euclidean distance."""


def near_duplicates(neighbours: NDArray[Any], distances: Floats) -> tuple[float, Pairs]:
    """The distance below which two pictures count as nearly the same, and all such pairs.

    ``neighbours`` (n, k) are rows, ``distances`` (n, k) theirs, ascending. Those at distance 0 always count.
    """
    threshold = NEAR * _usual(distances)
    rows, places = np.nonzero((distances < threshold) | (distances == 0))
    pairs = {
        (min(row, other), max(row, other)): float(distance)
        for row, other, distance in zip(
            rows.tolist(), neighbours[rows, places].tolist(), distances[rows, places].tolist(), strict=True
        )
    }
    return threshold, pairs


def _usual(distances: Floats) -> float:
    """The median distance from a picture to the nearest one that is no copy of it.

    Where most pictures have copies, the nearest is a copy. So that distance is taken from behind the last
    jump, or from the farther half of the neighbours, whichever is larger: within a dimension m the distance
    grows with the rank r as r ** (1 / m) (Levina and Bickel, *Maximum likelihood estimation of intrinsic
    dimension*, 2004), and back from the ranks k and k / 2 that leads to rank 1.
    """
    count = distances.shape[1]
    jumps = distances[:, 1:] > distances[:, :-1] * JUMP
    after = (jumps * np.arange(1, count)).max(axis=1, initial=0)
    usual = np.median(distances[np.arange(len(distances)), after])
    half = (count + 1) // 2
    if half < count:
        far, middle = distances[:, -1], distances[:, half - 1]
        ratio = np.divide(middle, far, out=np.zeros_like(far), where=far > 0)
        usual = max(usual, np.median(far * ratio ** (np.log(count) / np.log(count / half))))
    return float(usual)


def first_alike(pairs: Pairs, count: int) -> NDArray[np.int64]:
    """For each of ``count`` rows, the lowest row that a chain of ``pairs`` leads to, or the row itself."""
    lower, upper = np.array(list(pairs), dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(lower), dtype=np.int8), (lower, upper)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    rows: NDArray[np.int64] = first[group]
    return rows
