"""Recall, candidates and single queries among many pictures, without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measuring.process import ONE_THREAD, in_process
from benchmarks.measuring.shown import Quantity, in_one, number, part, percent, say, spread, table
from benchmarks.measuring.taken import median_seconds
from benchmarks.search.clustered import clustered
from benchmarks.search.hashed import Hashes, K, calibrate, fewest
from jobs.lsh.choice import recall_lower_bound
from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly
from jobs.lsh.sketch import Floats

QUERIES = 500
SINGLE_QUERIES = 25


@dataclass(frozen=True)
class Many:
    """The results of one seed; shares are of all pictures."""

    predicted: float
    """Candidates that the calibration predicts to reach the target."""
    recall: float
    lower_bound: float
    """What these candidates really find."""
    needed: float
    """The fewest candidates whose lower bound reaches the target."""
    bytes_read: float
    """With the predicted candidates, as a share of what a scan of all vectors reads."""


def show_million(folder: Path, real: Floats, pictures: int, seeds: Sequence[int]) -> list[Quantity]:
    """Measure ``pictures`` clustered vectors like the ``real`` ones, and print it."""
    by_seed: list[Many] = []
    by_size: dict[int, tuple[float, float]] = {}
    for seed in seeds:
        say(f"{pictures:,} clustered vectors, seed {seed}: draw, calibrate, hash, rank")
        file = folder / f"many-{seed}.npy"
        drawn = clustered(file, pictures + QUERIES, real, seed)
        vectors, queries = drawn[:pictures], np.asarray(drawn[pictures:])
        calibrated = calibrate(vectors, seed)
        candidates, hashes = calibrated.prediction.candidates, calibrated.hash(vectors)
        true = nearest_exactly(vectors, queries, K)[0]
        ranks = hashes.ranks(queries, true)
        recalls = (ranks < candidates).mean(axis=1)
        share = candidates / pictures
        by_seed.append(
            Many(
                share,
                float(recalls.mean()),
                recall_lower_bound(recalls),
                fewest(ranks, pictures) / pictures,
                hashes.sketch.row_bytes / vectors[0].nbytes + share,
            )
        )
        if seed == seeds[0]:
            say("single queries with one thread")
            for size in (pictures // 5, pictures):
                task = file, size, hashes, calibrated.choice.candidates_for(size)
                by_size[size] = in_process(time_single, *task, environment=ONE_THREAD)
        file.unlink()
    return [*_show_recall(pictures, by_seed), *_show_single(by_size)]


def time_single(file: Path, size: int, hashes: Hashes, candidates: int) -> tuple[float, float]:
    """Seconds per query by hashes, and exactly: medians over different queries, warm.

    ``file`` holds the vectors, of which the first ``size`` are searched, and then the queries.
    """
    drawn = np.load(file, mmap_mode="r")
    vectors, queries = drawn[:size], np.asarray(drawn[-QUERIES:])
    codes, norms = hashes.codes[:size], hashes.norms[:size]

    def exactly(turn: int) -> object:
        return nearest_exactly(vectors, queries[turn : turn + 1], K)

    def by_hashes(turn: int) -> object:
        query = queries[turn : turn + 1]
        return nearest_by_sketch(hashes.sketch, codes, norms, vectors, query, K, candidates)

    # Exactly first: it brings the vectors into memory.
    exact = median_seconds(exactly, SINGLE_QUERIES)
    return median_seconds(by_hashes, SINGLE_QUERIES), exact


def _show_recall(pictures: int, by_seed: Sequence[Many]) -> list[Quantity]:
    needed, bytes_read = [result.needed for result in by_seed], [result.bytes_read for result in by_seed]
    predicted = [result.predicted for result in by_seed]
    values = {
        "re-ranked, as predicted": spread(predicted, percent),
        "recall@5 with these": spread([result.recall for result in by_seed], "{:.4f}".format),
        "lower bound of it": spread([result.lower_bound for result in by_seed], "{:.4f}".format),
        "fewest that reach 0.95 by the lower bound": spread(needed, percent),
        "bytes read against all vectors, as predicted": spread(bytes_read, part),
    }
    table(
        f"{pictures:,} clustered vectors, {QUERIES} queries, {len(by_seed)} seeds:",
        ["per query", "median", "least", "most"],
        [[name, *cells] for name, cells in values.items()],
    )
    at = f"n = {pictures:,}"
    return [
        Quantity(f"pictures re-ranked, as predicted, {at}", in_one(predicted, percent), "at most 0.1%"),
        Quantity(f"fewest that reach recall@5 0.95, {at}", in_one(needed, percent), "at most 0.1%"),
        Quantity(f"bytes read against a full scan, {at}", in_one(bytes_read, part), "at most 1/12"),
    ]


def _show_single(by_size: dict[int, tuple[float, float]]) -> list[Quantity]:
    table(
        f"One query, warm, one thread, median of {SINGLE_QUERIES}, without Spark's own part:",
        ["pictures", "by hashes, ms", "exactly, ms", "ratio"],
        [
            [f"{size:,}", number(1e3 * hashes), number(1e3 * exact), part(hashes / exact)]
            for size, (hashes, exact) in by_size.items()
        ],
    )
    return [
        Quantity(f"one warm query against exact, n = {size:,}", part(hashes / exact), "at most 1/10")
        for size, (hashes, exact) in by_size.items()
    ]
