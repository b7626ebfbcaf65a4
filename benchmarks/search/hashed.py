"""What the steps calibrate and index do in Spark, done in NumPy: calibrate, hash and rank, block by block."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.lsh.choice import REDUCED, SAMPLE, TABLES, Choice, Moments, Prediction, choose, recall_lower_bound
from jobs.lsh.sketch import Floats, Rows, Sketch, make_sketch

K, TARGET = 5, 0.95
BLOCK = 65_536


def blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))


def draw_planes(seed: int, tables: int, dimension: int) -> NDArray[np.float64]:
    """(tables, dimension) random unit vectors."""
    drawn = np.random.default_rng(seed).normal(size=(tables, dimension))
    planes: NDArray[np.float64] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return planes


def moments_of(sample: Floats) -> Moments:
    """Principal components, mean and covariance of (n, 512) vectors."""
    components = np.linalg.eigh(np.cov(sample, rowvar=False))[1][:, ::-1][:, : max(REDUCED)]
    return Moments.of(sample, components)


@dataclass(frozen=True)
class Hashes:
    """How vectors were hashed, and their packed hashes: codes (n, bytes) uint8, norms (n,) float32."""

    sketch: Sketch
    codes: NDArray[np.uint8]
    norms: Floats

    @classmethod
    def of(
        cls, vectors: Floats, moments: Moments, planes: NDArray[np.float64], bucket_length: float
    ) -> Hashes:
        """Hash (n, 512) ``vectors`` by (L, p) ``planes`` over the first p components."""
        part = moments.reduced(planes.shape[1])
        sketch = make_sketch(part.components, planes, bucket_length, part.mean, part.covariance)
        codes = np.empty((len(vectors), sketch.row_bytes - 4), np.uint8)
        norms = np.empty(len(vectors), np.float32)
        for rows in blocks(len(vectors)):
            projected = vectors[rows] @ part.components @ planes.T
            codes[rows], _ = sketch.pack(np.floor(projected / bucket_length).astype(np.int32))
            norms[rows] = sketch.norms(codes[rows])
        return cls(sketch, codes, norms)

    def ranks(self, queries: Floats, true: Rows) -> Rows:
        """The rank, from 0, of each true neighbour: (q, k), like ``true``."""
        weights = self.sketch.weights(queries)

        def scores(rows: slice | Rows) -> Floats:
            """(q, m) of the m rows of a slice, or of (m,) rows."""
            codes = self.sketch.unpack(self.codes[rows]).astype(np.float32)
            values: Floats = self.norms[rows] - weights @ codes.T
            return values

        own = np.arange(len(queries))[:, None]
        of_true = scores(true.ravel())[own, np.arange(true.size).reshape(true.shape)]
        ranks = np.zeros(true.shape, np.int64)
        for rows in blocks(len(self.codes)):
            of_block = scores(rows)
            for place in range(true.shape[1]):
                ranks[:, place] += (of_block < of_true[:, place : place + 1]).sum(axis=1)
        return ranks


def fewest(ranks: Rows, pictures: int) -> int:
    """The fewest candidates with which the lower bound of recall reaches the target."""

    def reaches(candidates: int) -> bool:
        return recall_lower_bound((ranks < candidates).mean(axis=1)) >= TARGET

    counts = range(ranks.shape[1], pictures)
    return counts[bisect_left(counts, True, key=reaches)]


@dataclass(frozen=True)
class Calibrated:
    """A way to hash, with the moments and (L, p) planes it takes."""

    choice: Choice
    prediction: Prediction
    moments: Moments
    planes: NDArray[np.float64]

    def hash(self, vectors: Floats) -> Hashes:
        return Hashes.of(vectors, self.moments, self.planes, self.choice.bucket_length)


def calibrate(vectors: Floats, seed: int) -> Calibrated:
    """Choose for (n, 512) ``vectors`` by their first rows, which must be random ones."""
    sample = np.asarray(vectors[:SAMPLE])
    moments = moments_of(sample)
    planes = {dimension: draw_planes(seed, max(TABLES), dimension) for dimension in REDUCED}
    ids = np.arange(len(sample)).astype("S32")
    choice, prediction = choose(ids, sample, len(vectors), moments, planes, k=K, target=TARGET, seed=seed)
    drawn = planes[choice.reduced_dimension][: choice.num_hash_tables]
    return Calibrated(choice, prediction, moments, drawn)
