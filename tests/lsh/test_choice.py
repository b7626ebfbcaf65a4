"""Choosing how to hash, against recall counted by NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.lsh import choice as choosing
from jobs.lsh import splits
from jobs.lsh.choice import (
    ALIKE,
    Choice,
    Moments,
    Prediction,
    check,
    choose,
    recall_lower_bound,
    reduced_dimensions,
    spread,
)
from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly, nearest_others
from jobs.lsh.sketch import Floats, Rows, make_sketch
from jobs.lsh.splits import CHOOSE, CONFIRM, FEWEST, GATE, split_of
from tests.support.hashes import Array, clustered, ids_of, moments, moments_of, planes, vectors  # noqa: F401

SEED = 3


def drawn_planes(dimension: int = 512) -> dict[int, Array]:
    return {reduced: planes(128, reduced) for reduced in reduced_dimensions(dimension)}


def chosen(
    vectors: Floats, moments: Moments, target: float = 0.9, seed: int = SEED, pictures: int | None = None
) -> tuple[Choice, Prediction]:
    drawn = drawn_planes(vectors.shape[1])
    count = pictures or len(vectors)
    return choose(ids_of(len(vectors)), vectors, count, moments, drawn, k=5, target=target, seed=seed)


@pytest.fixture(scope="module")
def calibrated(vectors: Floats, moments: Moments) -> tuple[Choice, Prediction]:
    """What is chosen for ``vectors``."""
    return chosen(vectors, moments)


def checked(
    choice: Choice, vectors: Floats, moments: Moments, split: int = CONFIRM, seed: int = SEED
) -> Prediction:
    part = moments.reduced(choice.reduced_dimension)
    used = planes(128, choice.reduced_dimension)[: choice.num_hash_tables]
    ids = ids_of(len(vectors))
    return check(choice, ids, vectors, len(vectors), part, used, k=5, seed=seed, split=split)


def realised(choice: Choice, vectors: Floats, moments: Moments, candidates: int) -> float:
    """Recall@5 of all pictures, themselves left out, searched by NumPy as the choice says."""
    part = moments.reduced(choice.reduced_dimension)
    used = planes(128, choice.reduced_dimension)[: choice.num_hash_tables]
    sketch = make_sketch(part.components, used, choice.bucket_length, part.mean, part.covariance)
    hashes = np.floor((vectors @ sketch.components) @ used.T / choice.bucket_length).astype(np.int32)
    packed, _ = sketch.pack(hashes)
    exact, _ = nearest_exactly(vectors, vectors, 6)
    found, _ = nearest_by_sketch(sketch, packed, sketch.norms(packed), vectors, vectors, 6, candidates + 1)
    hits = [len(set(ours) & set(true)) - 1 for ours, true in zip(found, exact, strict=True)]
    return sum(hits) / (5 * len(hits))


def test_the_choice_keeps_its_promise_on_other_queries(
    vectors: Floats, moments: Moments, calibrated: tuple[Choice, Prediction]
) -> None:
    choice, promised = calibrated
    assert checked(choice, vectors, moments, CHOOSE).lower_bound >= 0.9
    assert promised.recall >= max(0.9, promised.lower_bound)
    assert promised.candidates == choice.candidates == choice.candidates_for(len(vectors))
    assert 5 <= promised.candidates < 0.2 * len(vectors)
    assert abs(realised(choice, vectors, moments, promised.candidates) - promised.recall) < 0.03


def test_a_sample_promises_for_all_pictures(moments: Moments) -> None:
    found = clustered(6_000, seed=5)
    choice, promised = chosen(found[:1_500], moments, pictures=len(found))
    assert choice.candidates < promised.candidates < 4 * choice.candidates
    assert abs(realised(choice, found, moments, promised.candidates) - promised.recall) < 0.1


def test_an_earlier_choice_is_checked_on_other_vectors(
    moments: Moments, calibrated: tuple[Choice, Prediction]
) -> None:
    choice, promised = calibrated
    kept = checked(choice, clustered(1_500)[::-1], moments)
    assert kept.candidates == promised.candidates
    assert kept.recall == pytest.approx(promised.recall, abs=0.03)
    # These hashes can't distinguish vectors that vary in other directions.
    strange = np.random.default_rng(0).normal(size=(1_500, 512)).astype(np.float32)
    strange /= np.linalg.norm(strange, axis=1, keepdims=True)
    assert checked(choice, strange, moments).recall < 0.5


def test_a_higher_target_costs_more(vectors: Floats, moments: Moments) -> None:
    low, high = (chosen(vectors, moments, target)[1] for target in (0.6, 0.97))
    assert low.candidates < high.candidates


def test_the_queries_that_confirm_are_none_of_those_that_chose(
    vectors: Floats, moments: Moments, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {vector.tobytes(): number for number, vector in enumerate(vectors)}
    asked: list[set[int]] = []

    def spied(among: Floats, queries: Floats, k: int) -> Rows:
        asked.append({numbers[query.tobytes()] for query in queries})
        return nearest_others(among, queries, k)

    monkeypatch.setattr(choosing, "nearest_others", spied)
    choice, promised = chosen(vectors, moments)
    assert choice.disjoint and promised.disjoint
    split = split_of(ids_of(len(vectors)), SEED)
    # All pictures and a quarter of them, to choose; all again, to confirm.
    assert asked == [set(np.flatnonzero(split == one).tolist()) for one in (CHOOSE, CHOOSE, CONFIRM)]
    assert promised == checked(choice, vectors, moments, CONFIRM)
    assert promised.recall != checked(choice, vectors, moments, CHOOSE).recall


def test_what_the_confirming_queries_find_changes_nothing_about_the_choice(
    vectors: Floats,
    moments: Moments,
    calibrated: tuple[Choice, Prediction],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choice, promised = calibrated
    of_confirm = split_of(ids_of(len(vectors)), SEED) == CONFIRM
    confirm = {vector.tobytes() for vector in vectors[of_confirm]}

    def spoilt(among: Floats, queries: Floats, k: int) -> Rows:
        true = nearest_others(among, queries, k)
        # As if the true neighbours of the confirming queries were pictures at random.
        of_them = np.array([query.tobytes() in confirm for query in queries])
        true[of_them] = np.random.default_rng(0).integers(len(queries), len(among), true[of_them].shape)
        return true

    monkeypatch.setattr(choosing, "nearest_others", spoilt)
    same, unconfirmed = chosen(vectors, moments)
    assert same == choice
    assert unconfirmed.candidates == promised.candidates
    assert unconfirmed.lower_bound < unconfirmed.recall < 0.5


def test_too_few_pictures_say_that_the_same_queries_chose_and_confirm() -> None:
    found = clustered(3 * FEWEST - 1)
    few = moments_of(found)
    choice, promised = chosen(found, few)
    assert not choice.disjoint and not promised.disjoint
    assert promised.recall == pytest.approx(checked(choice, found, few, CHOOSE).recall, abs=1e-9)
    assert promised.lower_bound >= 0.9


@pytest.mark.parametrize(
    ("before", "now", "disjoint"),
    [(True, 3 * FEWEST, True), (True, 3 * FEWEST - 1, False), (False, 3 * FEWEST, False)],
)
def test_a_kept_choice_is_confirmed_by_other_queries_only_if_it_was_and_is_split(
    vectors: Floats,
    moments: Moments,
    calibrated: tuple[Choice, Prediction],
    before: bool,
    now: int,
    disjoint: bool,
) -> None:
    choice = replace(calibrated[0], disjoint=before)
    assert checked(choice, vectors[:now], moments).disjoint is disjoint
    assert not checked(choice, vectors[:now], moments, CHOOSE).disjoint


def test_confirmed_recall_is_unbiased_and_that_of_the_choosing_queries_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Many combinations that are nearly as good as each other and few queries, so that luck decides.
    monkeypatch.setattr(choosing, "TABLES", tuple(range(12, 20)))
    monkeypatch.setattr(choosing, "WIDTHS", (0.5, 1.0))
    monkeypatch.setattr(splits, "FEWEST", 60)
    found = np.random.default_rng(0).normal(size=(240, 16)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    moments = moments_of(found)
    own, confirmed, fresh, bounds = [], [], [], []
    for seed in range(150):
        choice, promised = chosen(found, moments, seed=seed)
        of_choose, of_gate = (checked(choice, found, moments, split, seed) for split in (CHOOSE, GATE))
        assert of_choose.lower_bound >= 0.9
        own.append(of_choose.recall)
        confirmed.append(promised.recall)
        fresh.append(of_gate.recall)
        bounds.append(promised.lower_bound)
    # In standard errors of the mean over all calibrations.
    assert bias(own, np.add(confirmed, fresh) / 2) > 3
    assert abs(bias(confirmed, fresh)) < 2.5
    # Where nothing is tuned on the confirming queries, their lower bound often misses the target.
    assert 0.2 < np.mean(np.array(bounds) < 0.9) < 0.8


def bias(recalls: Sequence[float], truth: Sequence[float] | Array) -> float:
    differences = np.subtract(recalls, truth)
    return float(differences.mean() / (differences.std(ddof=1) / math.sqrt(len(differences))))


@pytest.mark.parametrize(
    ("dimension", "tried"),
    [
        (2, (2,)),
        (8, (8,)),
        (32, (32,)),
        (40, (32,)),
        (96, (32, 64)),
        (512, (32, 64, 96)),
        (2_048, (32, 64, 96)),
    ],
)
def test_no_more_dimensions_are_tried_than_vectors_have(dimension: int, tried: tuple[int, ...]) -> None:
    assert reduced_dimensions(dimension) == tried


@pytest.mark.parametrize("dimension", [8, 40])
def test_vectors_of_few_dimensions_are_calibrated_too(dimension: int) -> None:
    found = clustered(1_000, dimension=dimension)
    moments = moments_of(found)
    choice, promised = chosen(found, moments)
    assert choice.reduced_dimension in reduced_dimensions(dimension)
    assert promised.recall >= 0.9 and promised.candidates < 0.2 * len(found)
    assert abs(realised(choice, found, moments, promised.candidates) - promised.recall) < 0.03


def test_the_lower_bound_lies_below_the_mean_by_its_error() -> None:
    recalls = np.array([1.0, 0.8] * 50)
    error = np.std(recalls, ddof=1) / 10
    assert recall_lower_bound(recalls) == pytest.approx(0.9 - 1.6449 * error, abs=1e-6)
    assert recall_lower_bound(recalls, 0.025) == pytest.approx(0.9 - 1.95996 * error, abs=1e-6)


def scaled(vectors: NDArray[np.float64]) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = (vectors / lengths).astype(np.float32)
    return found


def bursts(pictures: int, times: int, apart: float, dimension: int = 64) -> Floats:
    """Unit vectors: each of ``pictures`` ``times`` times, moved by ``apart``."""
    random = np.random.default_rng(9)
    once = scaled(random.normal(size=(pictures, dimension)))
    moved = np.repeat(once, times, axis=0)
    return scaled(moved + apart / 8 * random.normal(size=moved.shape))


@pytest.mark.parametrize(
    "vectors",
    [
        bursts(60, 6, 0),
        bursts(24, 15, 0),
        bursts(24, 15, 1e-6),
        bursts(24, 15, 0.02),
        bursts(2, 180, 0),
        np.concatenate([bursts(1, 400, 0), bursts(40, 1, 0)]),
        np.concatenate([bursts(1, 400, 1e-7), bursts(2, 1, 0)[1:]]),
    ],
    ids=["six equal", "fifteen equal", "rounded", "frames", "two pictures", "most are one", "all but one"],
)
def test_pictures_that_are_nearly_all_alike_are_calibrated(vectors: Floats) -> None:
    assert spread(vectors) > ALIKE
    components = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2].T[:, :32]
    moments = Moments.of(vectors, components.astype(np.float64))
    drawn = {32: planes(128, 32)}
    ids = ids_of(len(vectors))
    choice, _ = choose(ids, vectors, len(vectors), moments, drawn, k=5, target=0.9, seed=SEED)
    assert 1e-4 < choice.bucket_length < 1
    used = drawn[32][: choice.num_hash_tables]
    sketch = make_sketch(components, used, choice.bucket_length, moments.mean, moments.covariance)
    packed, _ = sketch.pack(np.floor(vectors @ components @ used.T / choice.bucket_length).astype(np.int32))
    least = nearest_exactly(vectors, vectors, 6)[1]
    candidates = choice.candidates_for(len(vectors)) + 1
    found = nearest_by_sketch(sketch, packed, sketch.norms(packed), vectors, vectors, 6, candidates)[1]
    # Among equal pictures any are as good as others, up to rounding.
    assert (found <= least + 1e-3).mean() > 0.85


@pytest.mark.parametrize("apart", [0, 1e-7])
def test_pictures_that_are_all_alike_have_no_spread(apart: float) -> None:
    assert spread(bursts(1, 300, apart)) < ALIKE
