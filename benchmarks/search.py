"""How many pictures a query must compare truly for recall@5 >= 0.95, real embeddings: make bench-search."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.calibration import REDUCED, TABLES, Moments, choose, recall_lower_bound
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedder import ImageEmbedder
from jobs.embeddings import EmbeddingStore
from jobs.paths import DataRoot
from jobs.sketch import Floats, nearest_exactly
from jobs.sources.stanford_cars import stanford_cars
from jobs.weights import load_weights

K, TARGET, QUERIES, SEEDS = 5, 0.95, 1_000, (0, 1, 2)

Array = NDArray[Any]


def embed_cars(folder: Path) -> Floats:
    """Embed Stanford Cars in a data root of its own -> (n, 512) unit vectors."""
    root = DataRoot(folder)
    build_catalog(stanford_cars(DataRoot.from_env(), with_test=False), root)
    weights = load_weights(os.environ.get("LOOKALIKE_WEIGHTS", "imagenet"))
    told = embed_catalog(root, ImageEmbedder(weights))
    embeddings = EmbeddingStore(root.embeddings / told["fingerprint"]).read()[1]
    unit: Floats = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return unit


def draw_planes(seed: int, tables: int, dimension: int) -> Array:
    drawn = np.random.default_rng(seed).normal(size=(tables, dimension))
    planes: Array = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return planes


def bucket_equality(vectors: Floats, asked: Array, true: Array, scale: float, seed: int) -> float:
    """The least share of pictures in a common bucket with the query, over bucket lengths and tables.

    What Spark's approxNearestNeighbors compares: every picture with any equal hash.
    """
    planes = draw_planes(seed, 40, vectors.shape[1])
    projected = vectors @ planes.T
    least = 1.0
    for width in (0.1, 0.3, 1.0, 2.0, 4.0, 8.0):
        hashes = np.floor(projected / (width * scale)).astype(np.int32)
        for recalls, share in _by_tables(hashes, asked, true):
            if recall_lower_bound(recalls) >= TARGET:
                least = min(least, share)
    return least


def _by_tables(hashes: Array, asked: Array, true: Array) -> Iterator[tuple[Array, float]]:
    """Recall a query and the share of candidates, for 1 table, 2 tables ... all of them."""
    candidate = np.zeros((len(asked), len(hashes)), bool)
    for table in hashes.T:
        candidate |= table[asked][:, None] == table[None]
        yield np.take_along_axis(candidate, true, 1).mean(axis=1), float(candidate.mean())


def summed_differences(
    vectors: Floats, asked: Array, true: Array, scale: float, tables: int, seed: int
) -> float:
    """The share to compare when pictures are ranked by the summed squared difference of hashes."""
    hashes = np.floor(vectors @ draw_planes(seed, tables, vectors.shape[1]).T / scale).astype(np.float32)
    ranks = np.empty(true.shape, np.int64)
    norms = (hashes**2).sum(axis=1)
    for number, (row, neighbours) in enumerate(zip(asked, true, strict=True)):
        scores = norms - 2 * hashes @ hashes[row]
        scores[row] = np.inf
        ranks[number] = (scores < scores[neighbours][:, None]).sum(axis=1)
    fewest = next(
        count
        for count in range(K, len(vectors))
        if recall_lower_bound((ranks < count).mean(axis=1)) >= TARGET
    )
    return fewest / len(vectors)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="lookalike-search-") as folder:
        vectors = np.unique(embed_cars(Path(folder)), axis=0)
    distances = []
    rows: dict[str, list[float]] = {"equal buckets (stock)": [], "summed differences, 64 tables": []}
    rows |= {"summed differences, 256 tables": [], "decoded, calibrated": []}
    bytes_read = []
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        asked = generator.permutation(len(vectors))[:QUERIES]
        found, near = nearest_exactly(vectors, vectors[asked], K + 1)
        true, fifth = found[:, 1:], float(np.median(near[:, -1]))
        others = generator.permutation(len(vectors))[:QUERIES]
        distances.append((fifth, float(np.median(np.linalg.norm(vectors[asked] - vectors[others], axis=1)))))
        scale = fifth / math.sqrt(vectors.shape[1])
        rows["equal buckets (stock)"].append(bucket_equality(vectors, asked, true, scale, seed))
        for tables in (64, 256):
            share = summed_differences(vectors, asked, true, scale, tables, seed)
            rows[f"summed differences, {tables} tables"].append(share)
        components = np.linalg.eigh(np.cov(vectors, rowvar=False))[1][:, ::-1][:, : max(REDUCED)]
        planes = {dimension: draw_planes(seed, max(TABLES), dimension) for dimension in REDUCED}
        moments = Moments.of(vectors, components)
        choice = choose(vectors, len(vectors), moments, planes, k=K, target=TARGET, seed=seed)
        rows["decoded, calibrated"].append(choice.refined / len(vectors))
        bytes_read.append(choice.bytes_read)
    near, far = np.median(distances, axis=0)
    print(f"{len(vectors):,} pictures, {QUERIES:,} queries, {len(SEEDS)} seeds")
    print(f"fifth-nearest neighbour {near:.3f}, random pair {far:.3f}: {far / near:.2f} times as far\n")
    print("| pictures ranked or chosen by | compared truly, median | least | most |\n|---|---|---|---|")
    for name, shares in rows.items():
        print(f"| {name} | {np.median(shares):.2%} | {min(shares):.2%} | {max(shares):.2%} |")
    print(f"\nbytes read a query, decoded: 1/{1 / np.median(bytes_read):.0f} of a scan of all vectors")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
