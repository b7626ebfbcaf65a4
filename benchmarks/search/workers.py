"""The steps that build an index, on a Spark cluster of one worker and of two."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measuring.cluster import on_workers
from benchmarks.measuring.process import in_process
from benchmarks.measuring.shown import number, say, table
from benchmarks.measuring.taken import seconds
from benchmarks.search.growth import FINGERPRINT, make_root
from jobs.calibrate import calibrate_vectors
from jobs.index import LshParams, build_index
from jobs.lsh.sketch import Floats
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, open_index
from jobs.vectors import assemble_vectors

STEPS: dict[str, Callable[[DataRoot], object]] = {
    "vectors": lambda root: assemble_vectors(root, FINGERPRINT),
    "calibrate": calibrate_vectors,
    "index": lambda root: build_index(root, LshParams()),
}


def show_workers(folder: Path, real: Floats, pictures: int) -> None:
    """Build the index of ``pictures`` clustered vectors twice, from nothing, and print the times."""
    root = DataRoot(folder / "root-workers")
    in_process(make_root, root, real, pictures)
    taken, versions = {}, set[str]()
    for workers in (1, 2):
        say(f"the steps on {pictures:,} pictures, workers: {workers}")
        taken[workers] = in_process(run_steps, root, workers)
        versions.add(open_index(root, BUILT).version)
        for made in (root.vectors, root.calibrations, root.index):
            shutil.rmtree(made)
    shutil.rmtree(root.root)
    assert len(versions) == 1, "another number of workers made another index"
    table(
        f"The steps on {pictures:,} clustered vectors, by workers of one core and 1 GB, warm:",
        ["step", "one worker, s", "two workers, s", "ratio"],
        [
            [f"`{step}`", number(one), number(taken[2][step]), f"{taken[2][step] / one:.2f}"]
            for step, one in taken[1].items()
        ],
    )


def run_steps(root: DataRoot, workers: int) -> dict[str, float]:
    """Step -> the seconds that it takes with this number of workers."""
    with on_workers(workers) as spark:
        spark.range(1).count()
        return {step: seconds(partial(run, root)) for step, run in STEPS.items()}
