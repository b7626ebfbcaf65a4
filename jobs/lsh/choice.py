"""Choose how to hash so that a query finds enough of its true neighbours at the least cost.

Everything is tried in NumPy on a sample of the vectors, with planes drawn as the model draws them;
nothing is refitted for a bucket length, because planes don't depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat

from jobs.base.ranges import Count, Positive, Share
from jobs.lsh.nearest import nearest_others
from jobs.lsh.sketch import Floats, Rows, Sketch, make_sketch
from jobs.lsh.splits import CHOOSE, CONFIRM, Ids, can_split, queries_of

REDUCED = (32, 64, 96)
"""Dimensions tried where vectors have more; beyond 96 they need more hashes than they save candidates."""
TABLES = (48, 64, 96, 128)
WIDTHS = (0.5, 0.75, 1.0)
"""Bucket lengths tried, in the projected distance between k-th nearest neighbours."""
COPIES = 1 / 64
"""K-th neighbours nearer than this share of the distance between any two pictures are copies."""
SCALE = 1 / 8
"""The share of that distance by which bucket lengths are measured then."""
ALIKE = 1e-5
"""Vectors of length 1 that differ less than this are alike, up to rounding: there is nothing to hash."""
SAMPLE = 20_000
MIN_PICTURES = 200
"""Below this exact search costs nothing, and so few queries prove nothing."""
ALPHA = 0.05
"""How often a lower bound may lie above what it bounds."""
RANDOM_READ = 16
"""What reading a vector here and there costs, in vectors read in a row: 2 from memory, 80 from a disk."""


@dataclass(frozen=True)
class Choice:
    """A way to hash that was chosen for ``pictures``, and the candidates it takes."""

    pictures: Count
    reduced_dimension: Count
    num_hash_tables: Count
    bucket_length: Positive
    sample: Count
    candidates: Count
    """Candidates re-ranked among the pictures of the sample."""
    growth: Share
    """Candidates grow with the pictures to this power: measured between the sample and a quarter of it."""
    disjoint: bool = False
    """Whether there were enough pictures for other queries to confirm it; if not, all pictures chose it."""

    def candidates_for(self, pictures: int) -> int:
        """Candidates to re-rank among ``pictures`` pictures."""
        return math.ceil(self.candidates * math.pow(pictures / self.sample, self.growth))


@dataclass(frozen=True)
class Prediction:
    """The recall to expect of a choice, measured once on queries that neither chose nor tuned it.

    The lower bound may well be below the target: the choice stays as it is, and is measured again on
    the finished index.
    """

    candidates: Count
    recall: Share
    lower_bound: FiniteFloat
    disjoint: bool = False
    """False where there were too few pictures for that: the queries include those that chose."""


@dataclass(frozen=True)
class Moments:
    """What reduction and decoding need to know about the vectors."""

    components: NDArray[np.float64]
    """(d, p), orthonormal, of descending variance."""
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: Floats, components: NDArray[np.float64]) -> Moments:
        """The moments of what (n, d) vectors reduce to by (d, p) components."""
        reduced = vectors @ components
        return cls(components, reduced.mean(axis=0), np.cov(reduced, rowvar=False))

    def reduced(self, dimension: int) -> Moments:
        """The same for the first ``dimension`` components."""
        part = slice(dimension)
        return Moments(self.components[:, part], self.mean[part], self.covariance[part, part])


def reduced_dimensions(dimension: int) -> tuple[int, ...]:
    """The dimensions to try for vectors of ``dimension``: those of ``REDUCED`` below it, or itself."""
    return tuple(reduced for reduced in REDUCED if reduced < dimension) or (dimension,)


def spread(vectors: Floats) -> float:
    """The root mean square of the distances between any two of (n, d) vectors."""
    return math.sqrt(2 * float(vectors.var(axis=0, dtype=np.float64).sum()))


def recall_lower_bound(recalls: NDArray[np.float64], alpha: float = ALPHA) -> float:
    """One-sided 1 - ``alpha`` lower bound of the mean of recalls per query, by the normal approximation."""
    error = recalls.std(ddof=1) / math.sqrt(len(recalls))
    return float(recalls.mean() - NormalDist().inv_cdf(1 - alpha) * error)


def choose(
    ids: Ids,
    sample: Floats,
    pictures: int,
    moments: Moments,
    planes: Mapping[int, NDArray[np.float64]],
    *,
    k: int,
    target: float,
    seed: int = 0,
) -> tuple[Choice, Prediction]:
    """Choose for ``pictures`` vectors, from a ``sample`` (n, d) of them whose ids are ``ids`` (n,).

    ``planes`` holds, for each of ``reduced_dimensions(d)``, the (L, p) planes that the LSH model draws.
    The queries of the set ``CHOOSE`` pick the cheapest combination, with the fewest candidates for which
    the lower bound of their recall reaches ``target``; those of ``CONFIRM`` are asked once, for that
    combination alone, and decide nothing. Picking the best of many flatters the queries that pick (by
    0.001 with 1,000 queries, 0.003 with 200), which is less than the lower bound allows for.
    Where the sample is not all, the candidates are scaled to ``pictures`` by the power with which they
    grow inside it. The vectors must not be ``ALIKE``.
    """
    vectors, asked = _queries_first(ids, sample, CHOOSE, seed)
    few = vectors[: max(k + 1, len(vectors) // 4)]
    queries = vectors[:asked]
    true, true_of_few = nearest_others(vectors, queries, k), nearest_others(few, queries, k)
    to_kth = float(np.median(np.linalg.norm(queries - vectors[true[:, -1]], axis=1)))
    apart = spread(vectors)
    scale = to_kth if to_kth > COPIES * apart else SCALE * apart
    disjoint = can_split(len(vectors))
    best, least_cost = None, math.inf
    for dimension in reduced_dimensions(sample.shape[1]):
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
                candidates = _fewest(ranks, target)
                growth = math.log(candidates / _fewest(ranks_of_few, target))
                growth = min(max(growth / math.log(len(vectors) / len(few)), 0.0), 1.0)
                choice = Choice(
                    pictures, dimension, tables, bucket_length, len(vectors), candidates, growth, disjoint
                )
                row = sketch.row_bytes / (4 * vectors.shape[1])
                cost = row + RANDOM_READ * choice.candidates_for(pictures) / pictures
                if cost < least_cost:
                    least_cost, best = cost, choice
    assert best is not None
    part, drawn = moments.reduced(best.reduced_dimension), planes[best.reduced_dimension]
    used = drawn[: best.num_hash_tables]
    return best, check(best, ids, sample, pictures, part, used, k=k, seed=seed)


def check(
    choice: Choice,
    ids: Ids,
    sample: Floats,
    pictures: int,
    moments: Moments,
    planes: NDArray[np.float64],
    *,
    k: int,
    seed: int = 0,
    split: int = CONFIRM,
) -> Prediction:
    """What ``choice`` finds among ``pictures`` vectors, from a ``sample`` (n, d) of them, perhaps a new one.

    Asks the queries of the set ``split``. ``seed`` is the one that the choice was made with, so that the
    pictures that chose it are left out.
    """
    vectors, asked = _queries_first(ids, sample, split, seed)
    queries = vectors[:asked]
    bucket_length = choice.bucket_length
    sketch = make_sketch(moments.components, planes, bucket_length, moments.mean, moments.covariance)
    scores = _scores(sketch, vectors @ moments.components @ planes.T, bucket_length, queries)
    ranks = _ranks(scores, nearest_others(vectors, queries, k))
    recalls = _recalls(ranks, choice.candidates_for(len(vectors)))
    return Prediction(
        choice.candidates_for(pictures),
        float(recalls.mean()),
        recall_lower_bound(recalls),
        choice.disjoint and split != CHOOSE and can_split(len(vectors)),
    )


def _queries_first(ids: Ids, vectors: Floats, split: int, seed: int) -> tuple[Floats, int]:
    """The vectors, the queries of a set first and the rest in random order, and how many are queries."""
    queries = queries_of(ids, split, seed)
    rest = np.setdiff1d(np.arange(len(ids)), queries)
    return vectors[np.concatenate([queries, np.random.default_rng(seed).permutation(rest)])], len(queries)


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
    return np.stack([(scores < column[:, None]).sum(axis=1) for column in of_true.T], axis=1)


def _recalls(ranks: Rows, candidates: int) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (ranks < candidates).mean(axis=1)
    return shares


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
