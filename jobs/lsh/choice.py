"""Choose how to hash so that a query finds enough of its true neighbours at the least cost.

Everything is tried in NumPy on a sample of the vectors, with planes drawn as the model draws them;
nothing is refitted for a bucket length, because planes don't depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.lsh.nearest import Rows, nearest_others
from jobs.lsh.sketch import Floats, Sketch, make_sketch

REDUCED = (32, 64, 96)
"""Dimensions tried; more than 96 need more hashes than they give back."""
TABLES = (48, 64, 96, 128)
WIDTHS = (0.5, 0.75, 1.0)
"""Bucket lengths tried, in the projected distance between k-th nearest neighbours."""
SAMPLE = 20_000
QUERIES = 1_000
MIN_PICTURES = 200
"""Below this exact search costs nothing, and so few queries prove nothing."""
Z_95 = 1.645
"""One-sided 95 % of a normal distribution."""
RANDOM_READ = 16
"""What reading a vector here and there costs, in vectors read in a row: 2 from memory, 80 from a disk."""


@dataclass(frozen=True)
class Choice:
    """A way to hash that was chosen for ``pictures``, and the candidates it takes."""

    pictures: int
    reduced_dimension: int
    num_hash_tables: int
    bucket_length: float
    sample: int
    candidates: int
    """Candidates to refine among the pictures of the sample."""
    growth: float
    """Candidates grow with the pictures to this power: measured between the sample and a quarter of it."""

    def candidates_for(self, pictures: int) -> int:
        """Candidates to refine where there are so many pictures."""
        return math.ceil(self.candidates * math.pow(pictures / self.sample, self.growth))


@dataclass(frozen=True)
class Prediction:
    """What a choice promises, by queries that did not choose it."""

    candidates: int
    recall: float
    lower_bound: float


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

    def reduced(self, dimension: int) -> Moments:
        """The same for the first ``dimension`` components."""
        part = slice(dimension)
        return Moments(self.components[:, part], self.mean[part], self.covariance[part, part])


def recall_lower_bound(recalls: NDArray[np.float64]) -> float:
    """One-sided 95 % lower bound of the mean of recalls a query, by the normal approximation."""
    return float(recalls.mean() - Z_95 * recalls.std(ddof=1) / math.sqrt(len(recalls)))


def choose(
    sample: Floats,
    pictures: int,
    moments: Moments,
    planes: Mapping[int, NDArray[np.float64]],
    *,
    k: int,
    target: float,
    seed: int = 0,
) -> tuple[Choice, Prediction]:
    """Choose for ``pictures`` vectors, of which ``sample`` (n, 512) is one.

    ``planes`` holds, for p reduced dimensions, the (L, p) planes that the LSH model draws. Half of
    the queries choose, the other half, never looked at before, must confirm: their recall is what
    is promised. Where the sample is not all, the candidates are scaled to ``pictures`` by the power
    with which they grow inside it.
    """
    vectors = _shuffled(sample, seed)
    few = vectors[: max(k + 1, len(vectors) // 4)]
    queries = vectors[:QUERIES]
    true, true_of_few = nearest_others(vectors, queries, k), nearest_others(few, queries, k)
    scale = float(np.median(np.linalg.norm(queries - vectors[true[:, -1]], axis=1)))
    chooses, confirms = np.arange(len(queries)) % 2 == 0, np.arange(len(queries)) % 2 == 1
    best, least = None, math.inf
    for dimension in REDUCED:
        part = moments.reduced(dimension)
        projected = vectors @ part.components @ planes[dimension].T
        for tables in TABLES:
            for width in WIDTHS:
                # A projection on a unit vector of p dimensions is 1 / sqrt(p) of a distance, about.
                bucket_length = width * scale / math.sqrt(dimension)
                drawn = planes[dimension][:tables]
                sketch = make_sketch(part.components, drawn, bucket_length, part.mean, part.covariance)
                scores = _scores(sketch, projected[:, :tables], bucket_length, queries)
                ranks, ranks_of_few = _ranks(scores, true), _ranks(scores[:, : len(few)], true_of_few)
                growth = math.log(_fewest(ranks, target) / _fewest(ranks_of_few, target))
                growth = min(max(growth / math.log(len(vectors) / len(few)), 0.0), 1.0)
                candidates = _fewest(ranks[chooses], target)
                while (
                    candidates < len(vectors)
                    and recall_lower_bound(_recalls(ranks[confirms], candidates)) < target
                ):
                    candidates += max(1, candidates // 20)
                choice = Choice(pictures, dimension, tables, bucket_length, len(vectors), candidates, growth)
                row = sketch.row_bytes / (4 * vectors.shape[1])
                cost = row + RANDOM_READ * choice.candidates_for(pictures) / pictures
                if cost < least:
                    least = cost
                    best = choice, _predict(choice, ranks[confirms], len(vectors), pictures)
    assert best is not None
    return best


def check(
    choice: Choice,
    sample: Floats,
    pictures: int,
    moments: Moments,
    planes: NDArray[np.float64],
    *,
    k: int,
    seed: int = 0,
) -> Prediction:
    """What an earlier choice promises for other vectors, of which ``sample`` (n, 512) is one."""
    vectors = _shuffled(sample, seed)
    queries = vectors[:QUERIES]
    bucket_length = choice.bucket_length
    sketch = make_sketch(moments.components, planes, bucket_length, moments.mean, moments.covariance)
    scores = _scores(sketch, vectors @ moments.components @ planes.T, bucket_length, queries)
    ranks = _ranks(scores, nearest_others(vectors, queries, k))
    return _predict(choice, ranks, len(vectors), pictures)


def _predict(choice: Choice, ranks: Rows, sample: int, pictures: int) -> Prediction:
    """By ranks among ``sample`` pictures, for ``pictures``."""
    recalls = _recalls(ranks, choice.candidates_for(sample))
    return Prediction(choice.candidates_for(pictures), float(recalls.mean()), recall_lower_bound(recalls))


def _shuffled(vectors: Floats, seed: int) -> Floats:
    return vectors[np.random.default_rng(seed).permutation(len(vectors))]


def _scores(sketch: Sketch, projected: NDArray[np.float64], bucket_length: float, queries: Floats) -> Floats:
    """By what the sketch ranks (n, L) projected vectors for each query, the lowest first: (q, n)."""
    packed, _ = sketch.pack(np.floor(projected / bucket_length).astype(np.int32))
    codes = sketch.unpack(packed).astype(np.float32)
    scores: Floats = sketch.norms(packed) - sketch.weights(queries) @ codes.T
    own = np.arange(len(queries))
    scores[own, own] = np.inf
    return scores


def _ranks(scores: Floats, true: Rows) -> Rows:
    """At which place, from 0, each true neighbour is ranked: (q, k)."""
    of_true = np.take_along_axis(scores, true, axis=1)
    return np.stack([(scores < one[:, None]).sum(axis=1) for one in of_true.T], axis=1)


def _recalls(ranks: Rows, candidates: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (ranks < candidates).mean(axis=1)
    return found


def _fewest(ranks: Rows, target: float) -> int:
    """The fewest candidates for which the lower bound of recall reaches ``target``."""
    low: int = ranks.shape[1]
    high = int(ranks.max()) + 1
    while low < high:
        middle = (low + high) // 2
        if recall_lower_bound(_recalls(ranks, middle)) >= target:
            high = middle
        else:
            low = middle + 1
    return low
