"""precision@k against a count by hand."""

from __future__ import annotations

import numpy as np

from benchmarks.precision import precision_at


def test_precision_counts_neighbours_of_the_same_class_without_the_picture_itself() -> None:
    angles = np.deg2rad([0, 2, 90, 91, 180])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * 3
    found = precision_at(embeddings, ["a", "b", "b", "b", "a"], [1, 2])
    # Nearest: 0 deg -> 2 deg, 2 -> 0, 90 -> 91, 91 -> 90, 180 -> 91.
    assert found[1] == (0 + 0 + 1 + 1 + 0) / 5
    # Second nearest: 0 -> 90, 2 -> 90, 90 -> 2, 91 -> 2, 180 -> 90.
    assert found[2] == (0 + 1 + 2 + 2 + 0) / 10
