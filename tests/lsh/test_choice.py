"""Choosing how to hash, against recall counted by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.lsh.choice import Choice, Moments, check, choose, recall_lower_bound
from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly
from jobs.lsh.sketch import Floats, make_sketch
from tests.support.hashes import Array, moments, planes, vectors  # noqa: F401
from tests.support.synthetic import unit_vectors


def drawn_planes() -> dict[int, Array]:
    return {dimension: planes(128, dimension) for dimension in (32, 64, 96)}


def realised(choice: Choice, vectors: Floats, moments: Moments, refined: int) -> float:
    """Recall@5 of all pictures, themselves left out, searched by NumPy as the choice says."""
    part = moments.reduced(choice.reduced_dimension)
    used = drawn_planes()[choice.reduced_dimension][: choice.num_hash_tables]
    sketch = make_sketch(part.components, used, choice.bucket_length, part.mean, part.covariance)
    hashes = np.floor((vectors @ sketch.components) @ used.T / choice.bucket_length).astype(np.int32)
    packed, _ = sketch.pack(hashes)
    exact, _ = nearest_exactly(vectors, vectors, 6)
    found, _ = nearest_by_sketch(sketch, packed, sketch.norms(packed), vectors, vectors, 6, refined + 1)
    hits = [len(set(ours) & set(true)) - 1 for ours, true in zip(found, exact, strict=True)]
    return sum(hits) / (5 * len(hits))


def test_the_choice_keeps_its_promise_on_other_queries(vectors: Floats, moments: Moments) -> None:
    choice, promised = choose(vectors, len(vectors), moments, drawn_planes(), k=5, target=0.9, seed=3)
    assert promised.recall >= promised.lower_bound >= 0.9
    assert promised.refined == choice.refined == choice.refined_of(len(vectors))
    assert 5 <= promised.refined < 0.2 * len(vectors)
    assert abs(realised(choice, vectors, moments, promised.refined) - promised.recall) < 0.03


def test_a_sample_promises_for_all_pictures(moments: Moments) -> None:
    found = unit_vectors(6_000, seed=5, classes=40)
    vectors: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    choice, promised = choose(vectors[:1_500], len(vectors), moments, drawn_planes(), k=5, target=0.9, seed=3)
    assert choice.refined < promised.refined < 4 * choice.refined
    assert abs(realised(choice, vectors, moments, promised.refined) - promised.recall) < 0.05


def test_an_earlier_choice_is_checked_on_other_vectors(vectors: Floats, moments: Moments) -> None:
    choice, promised = choose(vectors, len(vectors), moments, drawn_planes(), k=5, target=0.9, seed=3)
    part = moments.reduced(choice.reduced_dimension)
    used = drawn_planes()[choice.reduced_dimension][: choice.num_hash_tables]
    alike = unit_vectors(1_500, classes=40)[::-1]
    alike = alike / np.linalg.norm(alike, axis=1, keepdims=True)
    kept = check(choice, alike, len(alike), part, used, k=5, seed=4)
    assert kept.refined == promised.refined
    assert kept.recall == pytest.approx(promised.recall, abs=0.03)
    # Vectors that vary in other directions are not told apart by these hashes.
    strange = np.random.default_rng(0).normal(size=(1_500, 512)).astype(np.float32)
    strange /= np.linalg.norm(strange, axis=1, keepdims=True)
    assert check(choice, strange, len(strange), part, used, k=5).recall < 0.5


def test_a_higher_target_costs_more(vectors: Floats, moments: Moments) -> None:
    low, high = (
        choose(vectors, len(vectors), moments, drawn_planes(), k=5, target=target)[1]
        for target in (0.6, 0.97)
    )
    assert low.refined < high.refined


def test_the_lower_bound_lies_below_the_mean_by_its_error() -> None:
    recalls = np.array([1.0, 0.8] * 50)
    assert recall_lower_bound(recalls) == pytest.approx(0.9 - 1.645 * np.std(recalls, ddof=1) / 10)
