"""Near-duplicates are found whatever their share."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.lsh.nearest import nearest_exactly
from jobs.lsh.sketch import Floats
from jobs.search.near_duplicates import near_duplicates

STORED = 10


def stored(vectors: Floats) -> tuple[Floats, Floats]:
    """Each vector's nearest others and their distances, as an index stores them."""
    rows, distances = nearest_exactly(vectors, vectors, min(STORED + 1, len(vectors)))
    kept = rows != np.arange(len(rows))[:, None]
    # Where a vector is not among its own nearest, one of the others is dropped instead.
    kept[kept.all(axis=1), -1] = False
    return rows[kept].reshape(len(rows), -1), distances[kept].reshape(len(rows), -1)


def pictures(count: int, copies: int, apart: float, seed: int = 0) -> Floats:
    """``count`` vectors of length 1, the first ``copies`` of them again, moved by about ``apart``."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, 64))
    moved = vectors[:copies] / np.linalg.norm(vectors[:copies], axis=1, keepdims=True)
    moved = moved + apart / 8 * random.normal(size=moved.shape)
    both = np.concatenate([vectors, moved])
    scaled: Floats = (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float32)
    return scaled


@pytest.mark.parametrize("copies", [0, 3, 15, 30])
@pytest.mark.parametrize("apart", [0.0, 0.05, 0.3, 0.45])
def test_each_copy_is_found_and_nothing_else(copies: int, apart: float) -> None:
    _, pairs = near_duplicates(*stored(pictures(30, copies, apart)))
    assert pairs.keys() == {(row, 30 + row) for row in range(copies)}


@pytest.mark.parametrize("times", [2, 6, 15])
def test_bursts_of_equal_pictures_are_near_duplicates(times: int) -> None:
    vectors = np.repeat(pictures(12, 0, 0), times, axis=0)
    _, pairs = near_duplicates(*stored(vectors))
    assert all(first // times == second // times for first, second in pairs)
    assert {row for pair in pairs for row in pair} == set(range(12 * times))


@pytest.mark.parametrize("count", [2, 12])
def test_where_all_are_equal_all_are_near_duplicates(count: int) -> None:
    threshold, pairs = near_duplicates(*stored(np.repeat(pictures(1, 0, 0), count, axis=0)))
    assert threshold == 0 and {row for pair in pairs for row in pair} == set(range(count))
