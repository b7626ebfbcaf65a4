"""The cost of a search: against Spark's own, among a million, against other libraries: make bench-search."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring.real import catalog_cars, embed_cars, unit_vectors
from benchmarks.measuring.sections import add_only
from benchmarks.measuring.shown import Quantity, say, show_logs, table
from benchmarks.search.built import build, show_built
from benchmarks.search.clustered import show_likeness
from benchmarks.search.compared import compare, show_compared
from benchmarks.search.growth import show_growth
from benchmarks.search.million import show_million
from benchmarks.search.peers import show_peers
from benchmarks.search.workers import show_workers
from jobs.lsh.sketch import Floats
from jobs.store.root import PROJECT, DataRoot

SEEDS = (0, 1, 2)
SECTIONS = ("real", "million", "growth", "workers", "peers")
MILLION, SHARED, PEERS = 1_000_000, 262_144, 65_536
SIZES = (8_192, 65_536, 262_144, MILLION)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    add_only(parser, SECTIONS)
    parser.add_argument(
        "--sizes", type=_numbers, default=SIZES, help="pictures the steps are run on, ascending"
    )
    parser.add_argument("--million", type=int, default=MILLION, help="pictures of the section million")
    parser.add_argument("--workers", type=int, default=SHARED, help="pictures of the section workers")
    parser.add_argument("--peers", type=int, default=PEERS, help="pictures of the section peers")
    return parser


def show_real(root: DataRoot, fingerprint: str, vectors: Floats) -> list[Quantity]:
    """Real embeddings: how many pictures are re-ranked, and indexes built by the steps."""
    compared = [compare(vectors, seed) for seed in SEEDS]
    quantities = show_compared(vectors, compared)
    built = [
        build(root, fingerprint, seed, by_seed.stock) for seed, by_seed in zip(SEEDS, compared, strict=True)
    ]
    return [*quantities, *show_built(len(vectors), built)]


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    os.environ["SPARK_CONF_DIR"] = str(PROJECT / "jobs" / "spark" / "conf")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    show_logs()
    quantities = []
    with tempfile.TemporaryDirectory(prefix="lookalike-search-") as name:
        folder = Path(name)
        root = DataRoot(folder / "cars")
        say("embed Stanford Cars")
        catalog_cars(root)
        fingerprint = embed_cars(root)
        vectors = unit_vectors(root, fingerprint)
        if "real" in options.only:
            quantities += show_real(root, fingerprint, vectors)
        if {"million", "growth", "workers", "peers"} & set(options.only):
            show_likeness(folder, vectors, SEEDS)
        if "million" in options.only:
            quantities += show_million(folder, vectors, options.million, SEEDS)
        if "growth" in options.only:
            show_growth(folder, vectors, options.sizes)
        if "workers" in options.only:
            show_workers(folder, vectors, options.workers)
        if "peers" in options.only:
            show_peers(folder, vectors, options.peers)
    if quantities:
        table(
            "Against this project's own goals; median, least and most of the seeds:",
            ["quantity", "measured", "goal"],
            [[quantity.name, quantity.measured, quantity.bar] for quantity in quantities],
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
