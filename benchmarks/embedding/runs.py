"""The whole step in a process of its own: the time of a second run, and how memory grows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.embedding.rates import empty
from benchmarks.measuring.shown import NO_BAR, Quantity, in_one, percent
from benchmarks.measuring.taken import peak_of, seconds, turn_by_turn
from jobs.embedding.weights import Weights
from jobs.store.catalog import Row, write_catalog
from jobs.store.root import PROJECT, DataRoot

NEW = 0.01
MB = 1e6
FEW = 300
BESIDE = {"counts.json": b"{}"}
"""What the step catalog leaves beside the rows, as far as embedding looks at it."""


def measure_runs(root: DataRoot, rows: Sequence[Row], weights: Weights, repeats: int) -> list[Quantity]:
    """Run the step on all but ``NEW`` of the catalog's ``rows``, then on all of them, then once more."""
    pictures = _ids(rows)
    first, new, again = "first run", f"{NEW:.0%} new pictures", "nothing new"
    most = set(pictures[: round(len(pictures) * (1 - NEW))])

    def run(wanted: set[str], from_nothing: bool) -> float:
        if from_nothing:
            empty(root)
        write_catalog([row for row in rows if row["id"] in wanted], root, BESIDE)
        command, environment = _step(root, weights)
        return seconds(lambda: subprocess.run(command, env=environment, stdout=sys.stderr, check=True))

    ways = {
        first: partial(run, most, True),
        new: partial(run, set(pictures), False),
        again: partial(run, set(pictures), False),
    }
    taken = turn_by_turn(ways, repeats)
    quantities = []
    for name, bar in ((again, "at most 5%"), (new, NO_BAR)):
        shares = taken[name] / taken[first]
        quantities.append(
            Quantity(f"a run with {name} against the first, {len(pictures):,}", in_one(shares, percent), bar)
        )
    return quantities


def measure_memory(root: DataRoot, rows: Sequence[Row], weights: Weights, repeats: int) -> list[Quantity]:
    """Run the step on ``FEW`` pictures and on all, from nothing, and measure the memory."""
    pictures = _ids(rows)

    def peak(wanted: set[str]) -> float:
        empty(root)
        write_catalog([row for row in rows if row["id"] in wanted], root, BESIDE)
        return peak_of(*_step(root, weights)) / MB

    few, many = f"{FEW:,} pictures, MB", f"{len(pictures):,} pictures, MB"
    measured = turn_by_turn(
        {few: partial(peak, set(pictures[:FEW])), many: partial(peak, set(pictures))}, repeats
    )
    growth = measured[many] / measured[few]
    return [
        Quantity(
            f"most memory, {len(pictures):,} pictures against {FEW:,}",
            in_one(growth, "{:.3f}".format),
            "at most 1.10",
        ),
        Quantity(f"most memory, {many}", in_one(measured[many], "{:,.0f}".format), NO_BAR),
    ]


def _ids(rows: Sequence[Row]) -> list[str]:
    """Content hashes of the usable pictures, sorted, which is a random order."""
    return sorted({row["id"] for row in rows if row["status"] == "ok"})


def _step(root: DataRoot, weights: Weights) -> tuple[list[str], dict[str, str]]:
    """The command of the step embed, and its environment."""
    command = [sys.executable, "-m", "jobs.embed", "--weights", weights.name]
    return command, {**os.environ, "LOOKALIKE_DATA": str(root.root), "PYTHONPATH": str(PROJECT)}
