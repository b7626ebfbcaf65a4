"""How many pictures a query has to re-rank, by the way in which they are chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measuring.shown import Quantity, in_one, part, percent, say, spread, table
from benchmarks.search.hashed import K, calibrate, fewest
from benchmarks.search.stock import Stock, best_stock, summed_differences
from jobs.lsh.nearest import nearest_exactly
from jobs.lsh.sketch import Floats

QUERIES = 1_000
SUMMED_TABLES = (64, 256)


@dataclass(frozen=True)
class Compared:
    """The results of one seed; shares are of all pictures."""

    fifth: float
    random: float
    """Median distances to the fifth neighbour and of a random pair."""
    stock: Stock
    summed: tuple[float, ...]
    decoded: float
    bytes_read: float
    """As a share of what a scan of all vectors reads."""


def compare(vectors: Floats, seed: int) -> Compared:
    """Measure every way on (n, 512) unit ``vectors``."""
    say(f"pictures re-ranked of {len(vectors):,}, seed {seed}")
    pictures = len(vectors)
    generator = np.random.default_rng(seed)
    queries, others = (generator.permutation(pictures)[:QUERIES] for _ in range(2))
    rows, near = nearest_exactly(vectors, vectors[queries], K + 1)
    # The first is the picture itself.
    true, fifth = rows[:, 1:], float(np.median(near[:, -1]))
    scale = fifth / math.sqrt(vectors.shape[1])
    summed = (summed_differences(vectors, queries, true, scale, tables, seed) for tables in SUMMED_TABLES)
    calibrated = calibrate(generator.permutation(vectors), seed)
    share = calibrated.prediction.candidates / pictures
    return Compared(
        fifth,
        float(np.median(np.linalg.norm(vectors[queries] - vectors[others], axis=1))),
        best_stock(vectors, queries, true, scale, seed),
        tuple(fewest(ranks, pictures) / pictures for ranks in summed),
        share,
        calibrated.hash(vectors).sketch.row_bytes / vectors[0].nbytes + share,
    )


def show_compared(vectors: Floats, by_seed: Sequence[Compared]) -> list[Quantity]:
    """Print the results of all seeds."""
    fifth = float(np.median([result.fifth for result in by_seed]))
    random = float(np.median([result.random for result in by_seed]))
    ways = {"equal buckets (stock)": [result.stock.share for result in by_seed]}
    for number, tables in enumerate(SUMMED_TABLES):
        ways[f"summed differences, {tables} tables"] = [result.summed[number] for result in by_seed]
    decoded = ways["decoded, calibrated"] = [result.decoded for result in by_seed]
    table(
        f"{len(vectors):,} pictures, {QUERIES:,} queries, {len(by_seed)} seeds; fifth-nearest neighbour "
        f"{fifth:.3f}, random pair {random:.3f}: {random / fifth:.2f} times as far",
        ["pictures ranked or chosen by", "re-ranked, median", "least", "most"],
        [[name, *spread(shares, percent)] for name, shares in ways.items()],
    )
    evaluations = [result.decoded / result.stock.share for result in by_seed]
    bytes_read = [result.bytes_read for result in by_seed]
    table(
        "Decoded hashes, as ratios:",
        ["per query", "median", "least", "most"],
        [
            ["distance evaluations against stock", *spread(evaluations, part)],
            ["bytes read against all vectors", *spread(bytes_read, part)],
        ],
    )
    at = f"n = {len(vectors):,}"
    return [
        Quantity(f"pictures re-ranked, {at}", in_one(decoded, percent), "at most 1%"),
        Quantity(f"distance evaluations against stock, {at}", in_one(evaluations, part), "at most 1/80"),
        Quantity(f"bytes read against a full scan, {at}", in_one(bytes_read, part), "at most 1/12"),
    ]
