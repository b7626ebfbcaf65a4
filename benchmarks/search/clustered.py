"""Any number of vectors whose neighbours are distributed like those of real embeddings.

If vectors are drawn from a few clusters, the distance between neighbours in a cluster depends only on the
number of dimensions, and a larger set has no nearer ones. Real sets differ: the more pictures, the nearer
the nearest. So here a picture is a leaf of a tree in which every node has ``BRANCHES`` children, and its
vector is the sum of Gaussian offsets of the nodes above it, which shrink by ``BRANCHES ** (-1 / LID)`` per
level. The distance of two pictures then depends on the level at which their branches part, and within a
distance smaller by that factor there are ``BRANCHES`` times fewer: the local intrinsic dimension is
``LID`` at every scale. Mean and covariance are those of the real vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measuring.shown import number, say, spread, table
from benchmarks.search.hashed import Hashes, K, blocks, draw_planes, fewest, moments_of
from jobs.lsh.nearest import nearest_exactly
from jobs.lsh.sketch import Floats

BRANCHES, DEPTH = 4, 10
"""A million leaves: a larger set only puts more pictures on each."""
LID = 24.0
"""With this, clustered vectors need as many candidates as embeddings of Stanford Cars."""
LID_NEIGHBOURS = 20
ASK = 500
HASHINGS = ((32, 64, 0.5), (64, 64, 0.75), (96, 128, 0.75))
"""Reduced dimensions, hash tables, bucket length in projected distances of fifth neighbours."""


def clustered(file: Path, pictures: int, like: Floats, seed: int) -> Floats:
    """Write (pictures, 512) float32 vectors of length 1 to ``file`` and map it; any rows are a random sample.

    ``like`` (m, 512) gives mean and covariance. A million take 2 GB of memory besides the file.
    """
    generator = np.random.default_rng(seed)
    mean, (variances, directions) = like.mean(axis=0), np.linalg.eigh(np.cov(like, rowvar=False))
    root = (directions * np.sqrt(np.maximum(variances, 0))).T.astype(np.float32)
    dimension = like.shape[1]
    shrinks = BRANCHES ** (-1 / LID)
    leaves = generator.integers(0, BRANCHES**DEPTH, pictures)
    levels = []
    for level in range(1, DEPTH + 1):
        nodes, node_of = np.unique(leaves // BRANCHES ** (DEPTH - level), return_inverse=True)
        offsets = generator.standard_normal((len(nodes), dimension), dtype=np.float32)
        offsets *= math.sqrt(1 - shrinks**2) * shrinks ** (level - 1)
        levels.append((offsets, node_of))
    vectors = np.lib.format.open_memmap(file, "w+", np.float32, (pictures, dimension))
    for rows in blocks(pictures):
        sums = generator.standard_normal((rows.stop - rows.start, dimension), dtype=np.float32)
        sums *= shrinks**DEPTH
        for offsets, node_of in levels:
            sums += offsets[node_of[rows]]
        drawn = sums @ root + mean
        vectors[rows] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    vectors.flush()
    mapped: Floats = np.load(file, mmap_mode="r")
    return mapped


def show_likeness(folder: Path, real: Floats, seeds: Sequence[int]) -> None:
    """Print how clustered vectors compare with as many ``real`` ones."""
    of_real, of_clustered = [], []
    for seed in seeds:
        say(f"clustered vectors against real ones, seed {seed}")
        drawn = clustered(folder / f"likeness-{seed}.npy", len(real), real, seed)
        of_real.append(_features(real, seed))
        of_clustered.append(_features(drawn, seed))
    rows = [
        [
            name,
            *(
                cell
                for features in (of_real, of_clustered)
                for cell in spread([row[name] for row in features], number)
            ),
        ]
        for name in of_real[0]
    ]
    head = ["median, least, most of the seeds", "real", "", "", "clustered", "", ""]
    table(f"Real and clustered vectors, {len(real):,} of each, of which {ASK} are the queries:", head, rows)


def _features(vectors: Floats, seed: int) -> dict[str, float]:
    """Distances, local intrinsic dimension by maximum likelihood, and candidates at fixed hashing."""
    vectors = vectors[np.random.default_rng(seed).permutation(len(vectors))]
    queries, others = vectors[:ASK], vectors[ASK:]
    rows, near = nearest_exactly(others, queries, LID_NEIGHBOURS)
    # Levina and Bickel, Maximum Likelihood Estimation of Intrinsic Dimension, 2004, formula 8.
    dimensions = 1 / np.log(near[:, -1:] / near[:, :-1]).mean(axis=1)
    fifth = float(np.median(near[:, K - 1]))
    features = {
        "distance to the nearest": float(np.median(near[:, 0])),
        "distance to the fifth": fifth,
        "distance of a random pair": float(np.median(np.linalg.norm(queries - others[:ASK], axis=1))),
        "local intrinsic dimension": float(np.median(dimensions)),
    }
    moments = moments_of(others)
    for reduced, tables, width in HASHINGS:
        planes = draw_planes(seed, tables, reduced)
        hashes = Hashes.of(others, moments, planes, width * fifth / math.sqrt(reduced))
        name = f"candidates, {tables} tables over {reduced} dimensions, bucket length {width:g}"
        features[name] = fewest(hashes.ranks(queries, rows[:, :K]), len(others))
    return features
