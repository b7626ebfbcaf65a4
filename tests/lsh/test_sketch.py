"""Packing and decoding hashes, against a plain reading of the formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jobs.lsh.sketch import Floats, Sketch
from jobs.store.packed import load_sketch, save_sketch
from tests.support.hashes import PLANES, hashes_of, moments, sketch, vectors  # noqa: F401


def test_packed_hashes_come_back_and_the_clipped_are_counted(vectors: Floats, sketch: Sketch) -> None:
    hashes = sketch.zero + np.random.default_rng(0).integers(0, 16, (50, PLANES))
    packed, clipped = sketch.pack(hashes)
    assert packed.dtype == np.uint8
    assert packed.shape == (50, 33)
    assert not clipped.any()
    assert sketch.row_bytes == 33 + 4
    np.testing.assert_array_equal(sketch.unpack(packed) + sketch.zero, hashes)
    hashes[3, 7], hashes[4, 8] = sketch.zero[7] + 16, sketch.zero[8] - 5
    packed, clipped = sketch.pack(hashes)
    assert clipped.tolist() == [0, 0, 0, 1, 1] + 45 * [0]
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
    save_sketch(tmp_path / "sketch.npz", sketch)
    loaded = load_sketch(tmp_path / "sketch.npz")
    for name in ("components", "zero", "decoder", "offset"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(sketch, name))


def test_pictures_are_ranked_by_their_estimates_distance(vectors: Floats, sketch: Sketch) -> None:
    packed, _ = sketch.pack(hashes_of(vectors, sketch))
    estimates = sketch.decode(sketch.unpack(packed))
    for query in vectors[:5]:
        apart = ((estimates - query @ sketch.components) ** 2).sum(axis=1)
        scores = sketch.norms(packed) - sketch.unpack(packed) @ sketch.weights(query[None])[0]
        np.testing.assert_allclose(scores - scores[0], apart - apart[0], atol=2e-4)
