"""Choose how to hash so that a query finds enough of its true neighbours at the least cost.

Everything is tried in NumPy on a sample of the vectors, with planes drawn as the model draws them;
nothing is refitted for a bucket length, because planes don't depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.sketch import Floats, Sketch, make_sketch, nearest_exactly

REDUCED = (32, 64, 96)
"""Dimensions tried; more than 96 need more hashes than they give back."""
TABLES = (48, 64, 96, 128)
WIDTHS = (0.5, 0.75, 1.0)
"""Bucket lengths tried, in the projected distance between fifth-nearest neighbours."""
SAMPLE = 20_000
QUERIES = 1_000
MIN_PICTURES = 200
"""Below this exact search costs nothing, and so few queries prove nothing."""
Z_95 = 1.645
"""One-sided 95 % of a normal distribution."""
RANDOM_READ = 4
"""What reading a vector here and there costs, in vectors read in a row."""


@dataclass(frozen=True)
class Choice:
    """A way to hash and the number of candidates to refine, with what it promises."""

    reduced_dimension: int
    num_hash_tables: int
    bucket_length: float
    refined: int
    predicted_recall: float
    predicted_lower_bound: float
    bytes_read: float
    """Bytes read a query, sketch and refined vectors, as a share of a scan of all vectors."""


@dataclass(frozen=True)
class Moments:
    """What reduction and decoding need to know of the vectors."""

    components: NDArray[np.float64]
    """(512, p), orthonormal, of descending variance."""
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: Floats, components: NDArray[np.float64]) -> Moments:
        """The moments of what (n, 512) vectors reduce to by (512, p) components."""
        reduced = vectors @ components
        return cls(components, reduced.mean(axis=0), np.cov(reduced, rowvar=False))

    def save(self, file: Path) -> None:
        with file.open("wb") as opened:
            np.savez(opened, components=self.components, mean=self.mean, covariance=self.covariance)

    @classmethod
    def load(cls, file: Path) -> Moments:
        with np.load(file, allow_pickle=False) as arrays:
            return cls(arrays["components"], arrays["mean"], arrays["covariance"])

    def reduced(self, dimension: int) -> Moments:
        """The same for the first ``dimension`` components."""
        part = slice(dimension)
        return Moments(self.components[:, part], self.mean[part], self.covariance[part, part])


def recall_lower_bound(recalls: NDArray[np.float64]) -> float:
    """One-sided 95 % lower bound of the mean of recalls a query, by the normal approximation."""
    return float(recalls.mean() - Z_95 * recalls.std(ddof=1) / math.sqrt(len(recalls)))


def choose(
    vectors: Floats,
    pictures: int,
    moments: Moments,
    planes: Mapping[int, NDArray[np.float64]],
    *,
    k: int,
    target: float,
    seed: int = 0,
) -> Choice:
    """Choose for ``pictures`` vectors, of which ``vectors`` (n, 512) are a sample.

    ``planes`` holds, for p reduced dimensions, the (L, p) planes that the LSH model draws. Half of
    the queries choose, the other half, never looked at before, must confirm: their recall is what
    is promised.
    """
    generator = np.random.default_rng(seed)
    asked = generator.permutation(len(vectors))[:QUERIES]
    true = _others(nearest_exactly(vectors, vectors[asked], k + 1)[0], asked)[:, :k]
    chooses, confirms = np.arange(len(asked)) % 2 == 0, np.arange(len(asked)) % 2 == 1
    fifth = np.linalg.norm(vectors[asked] - vectors[true[:, -1]], axis=1)
    scale = float(np.median(fifth)) / math.sqrt(vectors.shape[1])
    best, least = None, math.inf
    for dimension, tables, width in product(REDUCED, TABLES, WIDTHS):
        part = moments.reduced(dimension)
        # The same distance is spread over fewer values, so each projection of it is larger.
        bucket_length = width * scale * math.sqrt(vectors.shape[1] / dimension)
        drawn = planes[dimension][:tables]
        sketch = make_sketch(part.components, drawn, bucket_length, part.mean, part.covariance)
        ranks = _ranks(sketch, drawn, bucket_length, vectors, asked, true)
        refined = _fewest(ranks[chooses], target)
        while (
            refined < len(vectors) and recall_lower_bound((ranks[confirms] < refined).mean(axis=1)) < target
        ):
            refined += max(1, refined // 20)
        recalls = (ranks[confirms] < refined).mean(axis=1)
        # A query's rivals grow with the square root of the pictures or slower: take the worse.
        refined = math.ceil(refined * max(1.0, math.sqrt(pictures / len(vectors))))
        row = sketch.row_bytes / (4 * vectors.shape[1])
        cost = row + RANDOM_READ * refined / pictures
        if cost < least:
            promised = (float(recalls.mean()), recall_lower_bound(recalls))
            least = cost
            best = Choice(dimension, tables, bucket_length, refined, *promised, row + refined / pictures)
    assert best is not None
    return best


def _ranks(
    sketch: Sketch,
    planes: NDArray[np.float64],
    bucket_length: float,
    vectors: Floats,
    asked: NDArray[np.int64],
    true: NDArray[np.int64],
) -> NDArray[np.int64]:
    """At which place, from 0, the sketch ranks each true neighbour: (q, k)."""
    reduced = vectors @ sketch.components
    hashes = np.floor(reduced.astype(np.float64) @ planes.T / bucket_length).astype(np.int32)
    decoded = sketch.decode(sketch.unpack(sketch.pack(hashes)[0]))
    norms = (decoded**2).sum(axis=1)
    ranks = np.empty(true.shape, np.int64)
    for number, (row, neighbours) in enumerate(zip(asked, true, strict=True)):
        scores = norms - 2 * decoded @ reduced[row]
        scores[row] = np.inf
        ranks[number] = (scores < scores[neighbours][:, None]).sum(axis=1)
    return ranks


def _fewest(ranks: NDArray[np.int64], target: float) -> int:
    """The fewest candidates for which the lower bound of recall reaches ``target``."""
    low: int = ranks.shape[1]
    high = int(ranks.max()) + 1
    while low < high:
        middle = (low + high) // 2
        if recall_lower_bound((ranks < middle).mean(axis=1)) >= target:
            high = middle
        else:
            low = middle + 1
    return low


def _others(rows: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Drop from each row of neighbours the picture that asked."""
    return np.array(
        [found[found != row][: rows.shape[1] - 1] for found, row in zip(rows, asked, strict=True)]
    )
