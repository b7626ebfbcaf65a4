"""Packing, scanning and searching, against plain NumPy on whatever Hypothesis comes up with."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.lsh import nearest
from jobs.lsh.nearest import nearest_exactly, scan
from jobs.lsh.sketch import LEVELS, Floats, Sketch
from tests.support.hashes import Array

seeds = st.integers(0, 2**32 - 1)


def sketch_of(zero: Array) -> Sketch:
    nothing = np.zeros((1, len(zero)), np.float32)
    return Sketch(nothing[:, :1], zero, nothing, nothing[:, 0])


@given(st.integers(1, 70), st.integers(0, 20), st.integers(1, 2**30), seeds)
def test_what_is_packed_comes_back_clipped_to_the_levels(
    tables: int, rows: int, width: int, seed: int
) -> None:
    """Holds that packing loses what lies outside 16 levels, counts it in each row, and loses nothing else."""
    random = np.random.default_rng(seed)
    sketch = sketch_of(random.integers(-(2**30), 2**30, tables).astype(np.int32))
    above = random.integers(-width, width + LEVELS, (rows, tables))
    hashes = np.clip(sketch.zero + above, -(2**30), 2**30).astype(np.int32)
    packed, clipped = sketch.pack(hashes)
    above = hashes.astype(np.int64) - sketch.zero
    assert packed.dtype == np.uint8 and packed.shape == (rows, sketch.row_bytes - 4)
    np.testing.assert_array_equal(sketch.unpack(packed), np.clip(above, 0, LEVELS - 1))
    np.testing.assert_array_equal(clipped, ((above < 0) | (above >= LEVELS)).sum(axis=1))


@st.composite
def scores(draw: st.DrawFn) -> Floats:
    """(queries, rows): few different values, infinite ones too, so that ties are everywhere; or none."""
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 2_500))
    random = np.random.default_rng(draw(seeds))
    if draw(st.booleans()):
        pool = draw(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8))
        found = random.choice(np.array(pool, np.float32), shape)
    else:
        found = random.normal(size=shape).astype(np.float32)
    order = draw(st.sampled_from(["any", "rising", "falling"]))
    if order == "any":
        return found
    ordered: Floats = np.sort(found, axis=1)
    return ordered if order == "rising" else np.ascontiguousarray(ordered[:, ::-1])


@given(scores(), st.integers(1, 400), st.integers(1_024, 2_500))
@example(np.full((1, 3), np.inf, np.float32), 2, 1_024)
def test_a_scan_finds_what_sorting_all_scores_finds(scores: Floats, keep: int, block: int) -> None:
    """Holds for any number of blocks: the lowest scores, of equal ones the first, ascending by row."""
    with patch.object(nearest, "SCORES", block * len(scores)):
        found = scan(scores.shape[1], len(scores), keep, lambda rows: scores[:, rows])
    lowest = np.argsort(scores, axis=1, kind="stable")[:, :keep]
    np.testing.assert_array_equal(found, np.sort(lowest, axis=1))


@given(st.integers(8, 64), st.integers(1, 1_500), st.integers(1, 5), st.integers(1, 20), st.booleans(), seeds)
def test_the_exact_search_is_brute_force(
    dimension: int, rows: int, queries: int, k: int, copies: bool, seed: int
) -> None:
    """Holds in any dimension, with copies of pictures among them: distances and their rows are right."""
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(rows, dimension))
    if copies:
        drawn = drawn[random.integers(0, 1 + rows // 3, rows)]
    vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    asked = vectors[random.integers(0, rows, queries)]
    with patch.object(nearest, "SCORES", 1):  # blocks of 1,024 rows
        found, distances = nearest_exactly(vectors, asked, k)
    true = np.linalg.norm(asked[:, None].astype(float) - vectors[None].astype(float), axis=2)
    assert found.shape == distances.shape == (queries, min(k, rows))
    np.testing.assert_allclose(distances, np.sort(true, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(distances, np.take_along_axis(true, found, axis=1), atol=1e-6)
    for own, apart in zip(found, distances, strict=True):
        pairs = list(zip(apart.tolist(), own.tolist(), strict=True))
        assert pairs == sorted(set(pairs))  # of copies the smaller row comes first
