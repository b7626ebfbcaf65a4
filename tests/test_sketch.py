"""Packing, decoding and ranking by packed hashes, against a plain reading of the formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.calibration import Moments, choose, recall_lower_bound
from jobs.sketch import Floats, Sketch, make_sketch, nearest_by_sketch, nearest_exactly
from tests.synthetic import unit_vectors

PLANES, REDUCED, WIDTH = 65, 32, 0.05

Array = NDArray[Any]


@pytest.fixture(scope="module")
def vectors() -> Floats:
    found = unit_vectors(1_500, classes=40)
    scaled: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    return scaled


@pytest.fixture(scope="module")
def moments(vectors: Floats) -> Moments:
    components = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2].T
    return Moments.of(vectors, components[:, :96].astype(float))


def planes(tables: int, dimension: int) -> Array:
    drawn = np.random.default_rng(1).normal(size=(tables, dimension))
    unit: Array = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


@pytest.fixture(scope="module")
def sketch(moments: Moments) -> Sketch:
    part = moments.reduced(REDUCED)
    return make_sketch(part.components, planes(PLANES, REDUCED), WIDTH, part.mean, part.covariance)


def hashes_of(vectors: Floats, sketch: Sketch) -> Array:
    hashes: Array = np.floor((vectors @ sketch.components) @ planes(PLANES, REDUCED).T / WIDTH).astype(
        np.int32
    )
    return hashes


def test_packed_hashes_come_back_and_the_clipped_are_counted(vectors: Floats, sketch: Sketch) -> None:
    hashes = sketch.zero + np.random.default_rng(0).integers(0, 16, (50, PLANES))
    packed, clipped = sketch.pack(hashes)
    assert packed.dtype == np.uint8
    assert (packed.shape, clipped) == ((50, 33), 0)
    assert sketch.row_bytes == 33
    np.testing.assert_array_equal(sketch.unpack(packed) + sketch.zero, hashes)
    hashes[3, 7], hashes[4, 8] = sketch.zero[7] + 16, sketch.zero[8] - 5
    packed, clipped = sketch.pack(hashes)
    assert clipped == 2
    codes = sketch.unpack(packed)
    assert (codes[3, 7], codes[4, 8]) == (15, 0)


def test_no_linear_map_decodes_much_better(vectors: Floats, sketch: Sketch) -> None:
    reduced = vectors @ sketch.components
    codes = sketch.unpack(sketch.pack(hashes_of(vectors, sketch))[0])
    error = ((sketch.decode(codes) - reduced) ** 2).sum(axis=1).mean()
    design = np.column_stack([codes, np.ones(len(codes))])
    fitted = design @ np.linalg.lstsq(design, reduced, rcond=None)[0]
    best = ((fitted - reduced) ** 2).sum(axis=1).mean()
    assert best <= error < 1.15 * best
    assert error < 0.1 * ((reduced - reduced.mean(axis=0)) ** 2).sum(axis=1).mean()


def test_a_saved_sketch_is_the_same(sketch: Sketch, tmp_path: Path) -> None:
    sketch.save(tmp_path / "sketch.npz")
    loaded = Sketch.load(tmp_path / "sketch.npz")
    for name in ("components", "zero", "decoder", "offset"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(sketch, name))


def test_exact_search_is_exact(vectors: Floats) -> None:
    rows, distances = nearest_exactly(vectors, vectors[:20], 7)
    true = np.linalg.norm(vectors[:20, None].astype(float) - vectors[None], axis=2)
    np.testing.assert_array_equal(rows, np.argsort(true, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(distances, np.sort(true, axis=1)[:, :7], atol=1e-6)


def test_ties_go_to_the_smaller_row(vectors: Floats) -> None:
    doubled = np.concatenate([vectors[:5], vectors[:5], vectors[:5]])
    rows, distances = nearest_exactly(doubled, vectors[:1], 3)
    assert (rows.tolist(), distances.tolist()) == ([[0, 5, 10]], [[0.0, 0.0, 0.0]])


def test_with_every_candidate_refined_the_sketch_is_exact(vectors: Floats, sketch: Sketch) -> None:
    packed, _ = sketch.pack(hashes_of(vectors, sketch))
    found = nearest_by_sketch(sketch, packed, vectors, vectors[:30], 5, len(vectors))
    for ours, exact in zip(found, nearest_exactly(vectors, vectors[:30], 5), strict=True):
        np.testing.assert_array_equal(ours, exact)


def test_a_few_candidates_hold_most_neighbours(vectors: Floats, sketch: Sketch) -> None:
    packed, _ = sketch.pack(hashes_of(vectors, sketch))
    exact, _ = nearest_exactly(vectors, vectors[:200], 6)
    recalls = []
    for refined in (6, 60):
        found, _ = nearest_by_sketch(sketch, packed, vectors, vectors[:200], 6, refined)
        hits = [len(set(ours) & set(true)) for ours, true in zip(found, exact, strict=True)]
        recalls.append(sum(hits) / exact.size)
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.9


def test_more_neighbours_than_pictures_are_all_of_them(vectors: Floats, sketch: Sketch) -> None:
    few = vectors[:4]
    packed, _ = sketch.pack(hashes_of(few, sketch))
    assert nearest_by_sketch(sketch, packed, few, few[:2], 9, 2)[0].shape == (2, 4)
    assert nearest_exactly(few, few[:2], 9)[0].shape == (2, 4)


def test_the_choice_keeps_its_promise_on_other_queries(vectors: Floats, moments: Moments) -> None:
    drawn = {dimension: planes(128, dimension) for dimension in (32, 64, 96)}
    choice = choose(vectors, len(vectors), moments, drawn, k=5, target=0.9, seed=3)
    assert choice.predicted_lower_bound >= 0.9
    assert choice.predicted_recall >= choice.predicted_lower_bound
    assert 5 <= choice.refined < 0.2 * len(vectors)
    part = moments.reduced(choice.reduced_dimension)
    used = drawn[choice.reduced_dimension][: choice.num_hash_tables]
    sketch = make_sketch(part.components, used, choice.bucket_length, part.mean, part.covariance)
    hashes = np.floor((vectors @ sketch.components) @ used.T / choice.bucket_length).astype(np.int32)
    packed, _ = sketch.pack(hashes)
    exact, _ = nearest_exactly(vectors, vectors, 6)
    found, _ = nearest_by_sketch(sketch, packed, vectors, vectors, 6, choice.refined + 1)
    hits = [len(set(ours) & set(true)) - 1 for ours, true in zip(found, exact, strict=True)]
    assert abs(sum(hits) / (5 * len(hits)) - choice.predicted_recall) < 0.03


def test_a_higher_target_costs_more(vectors: Floats, moments: Moments) -> None:
    drawn = {dimension: planes(128, dimension) for dimension in (32, 64, 96)}
    low, high = (choose(vectors, len(vectors), moments, drawn, k=5, target=target) for target in (0.6, 0.97))
    assert low.bytes_read < high.bytes_read


def test_the_lower_bound_lies_below_the_mean_by_its_error() -> None:
    recalls = np.array([1.0, 0.8] * 50)
    assert recall_lower_bound(recalls) == pytest.approx(0.9 - 1.645 * np.std(recalls, ddof=1) / 10)
