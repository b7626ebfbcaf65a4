"""Finding the nearest vectors, against sorting all distances."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.lsh.nearest import FEW, nearest_by_sketch, nearest_exactly, scan
from jobs.lsh.sketch import Floats, Sketch
from tests.support.hashes import Array, hashes_of, moments, sketch, vectors  # noqa: F401


def by_sketch(sketch: Sketch, vectors: Floats, queries: Floats, k: int, refined: int) -> tuple[Array, Floats]:
    packed, _ = sketch.pack(hashes_of(vectors, sketch))
    return nearest_by_sketch(sketch, packed, sketch.norms(packed), vectors, queries, k, refined)


def test_exact_search_is_exact(vectors: Floats) -> None:
    rows, distances = nearest_exactly(vectors, vectors[:20], 7)
    true = np.linalg.norm(vectors[:20, None].astype(float) - vectors[None], axis=2)
    np.testing.assert_array_equal(rows, np.argsort(true, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(distances, np.sort(true, axis=1)[:, :7], atol=1e-6)


def test_ties_go_to_the_smaller_row(vectors: Floats) -> None:
    doubled = np.concatenate([vectors[:5], vectors[:5], vectors[:5]])
    rows, distances = nearest_exactly(doubled, vectors[:1], 3)
    assert (rows.tolist(), distances.tolist()) == ([[0, 5, 10]], [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize(("rows", "keep"), [(5, 8), (3_000, 1), (3_000, 40), (9_000, 700)])
def test_a_scan_keeps_the_lowest_scores_and_of_equal_ones_the_first(rows: int, keep: int) -> None:
    # Few different values, so that there are ties everywhere, at the limit too.
    scores = np.random.default_rng(rows).integers(0, 50, (7, rows)).astype(np.float32)
    found = scan(rows, len(scores), keep, lambda block: scores[:, block])
    expected = np.sort(np.argsort(scores, axis=1, kind="stable")[:, :keep], axis=1)
    np.testing.assert_array_equal(found, expected)


def test_one_query_and_many_are_answered_alike(vectors: Floats, sketch: Sketch) -> None:
    many = by_sketch(sketch, vectors, vectors[: 10 * FEW], 5, 40)
    for number in range(10 * FEW):
        one = by_sketch(sketch, vectors, vectors[number : number + 1], 5, 40)
        np.testing.assert_array_equal(one[0][0], many[0][number])
        np.testing.assert_array_equal(one[1][0], many[1][number])


def test_with_every_candidate_refined_the_sketch_is_exact(vectors: Floats, sketch: Sketch) -> None:
    found = by_sketch(sketch, vectors, vectors[:30], 5, len(vectors))
    for ours, exact in zip(found, nearest_exactly(vectors, vectors[:30], 5), strict=True):
        np.testing.assert_array_equal(ours, exact)


def test_a_few_candidates_hold_most_neighbours(vectors: Floats, sketch: Sketch) -> None:
    exact, _ = nearest_exactly(vectors, vectors[:200], 6)
    recalls = []
    for refined in (6, 60):
        found, _ = by_sketch(sketch, vectors, vectors[:200], 6, refined)
        hits = [len(set(ours) & set(true)) for ours, true in zip(found, exact, strict=True)]
        recalls.append(sum(hits) / exact.size)
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.9


def test_more_neighbours_than_pictures_are_all_of_them(vectors: Floats, sketch: Sketch) -> None:
    few = vectors[:4]
    assert by_sketch(sketch, few, few[:2], 9, 2)[0].shape == (2, 4)
    assert nearest_exactly(few, few[:2], 9)[0].shape == (2, 4)
