"""The cost of embedding, compared with what the cores allow and with the usual ways: make bench-embed."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.embedding.alone import precisions
from benchmarks.embedding.decode import measure_decoding
from benchmarks.embedding.engines import WARM_UP, measure_engines
from benchmarks.embedding.forwards import measure_forwards
from benchmarks.embedding.rates import measure_rates
from benchmarks.embedding.runs import measure_memory, measure_runs
from benchmarks.measuring.process import in_process
from benchmarks.measuring.real import catalog_cars, chosen_weights, usable_pictures
from benchmarks.measuring.sections import add_only
from benchmarks.measuring.shown import Quantity, say, show_logs, table
from jobs.store.catalog import read_catalog
from jobs.store.root import PROJECT, DataRoot

SECTIONS = ("rates", "decode", "forwards", "runs", "memory", "engines")
PICTURES, REPEATS = 600, 5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=__doc__)
    add_only(parser, SECTIONS)
    parser.add_argument(
        "--pictures",
        type=int,
        default=PICTURES,
        help="64 or more, for the sections rates, decode, forwards (256 at most) and engines; "
        "runs and memory take all pictures",
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help="turns of each section")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    os.environ["SPARK_CONF_DIR"] = str(PROJECT / "jobs" / "spark" / "conf")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    show_logs()
    repeats, quantities = options.repeats, list[Quantity]()
    with tempfile.TemporaryDirectory(prefix="lookalike-embed-") as name:
        folder = Path(name)
        root = DataRoot(folder / "cars")
        say("catalog Stanford Cars")
        catalog_cars(root)
        rows, weights, computed = read_catalog(root), chosen_weights(), precisions()
        pictures = usable_pictures(root)
        some, more = pictures[: options.pictures], pictures[: options.pictures + WARM_UP]
        # Each section in a process of its own, so that threads, compilers and a JVM don't affect the next.
        if "rates" in options.only:
            quantities += in_process(measure_rates, folder / "rates", some, weights, computed, repeats)
        if "decode" in options.only:
            quantities += in_process(measure_decoding, some, repeats)
        if "forwards" in options.only:
            quantities += in_process(measure_forwards, folder, some, weights, computed, repeats)
        if "runs" in options.only:
            quantities += measure_runs(DataRoot(folder / "runs"), rows, weights, repeats)
        if "memory" in options.only:
            quantities += measure_memory(DataRoot(folder / "memory"), rows, weights, repeats)
        if "engines" in options.only:
            quantities += in_process(measure_engines, folder / "engines", more, weights, repeats)
    table(
        f"Embedding {len(some):,} pictures unless another number is given; median, least and most of "
        f"{repeats} turns:",
        ["quantity", "bar", "measured"],
        [[quantity.name, quantity.bar, quantity.measured] for quantity in quantities],
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
