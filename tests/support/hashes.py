"""Vectors in clusters, planes and a sketch of them, hashed by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.lsh.choice import Moments, reduced_dimensions
from jobs.lsh.sketch import Floats, Sketch, make_sketch
from tests.support.synthetic import picture_id, unit_vectors

PLANES, REDUCED, WIDTH = 65, 32, 0.05

Array = NDArray[Any]


def clustered(pictures: int, seed: int = 0, dimension: int = 512) -> Floats:
    """(pictures, dimension) vectors of length 1 in 40 clusters."""
    found = unit_vectors(pictures, seed, classes=40, dimension=dimension)
    scaled: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    return scaled


def ids_of(pictures: int) -> Array:
    return np.array([picture_id(number) for number in range(pictures)], "S32")


def moments_of(vectors: Floats) -> Moments:
    components = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2].T
    return Moments.of(vectors, components[:, : max(reduced_dimensions(vectors.shape[1]))].astype(float))


@pytest.fixture(scope="module")
def vectors() -> Floats:
    return clustered(1_500)


@pytest.fixture(scope="module")
def moments(vectors: Floats) -> Moments:
    return moments_of(vectors)


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
