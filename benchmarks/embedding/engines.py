"""Embedding on a Spark cluster against embedding on this machine, with the same number of cores."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from benchmarks.embedding.alone import RUNTIME
from benchmarks.embedding.rates import embed_again, empty
from benchmarks.measuring.cluster import on_workers
from benchmarks.measuring.shown import Quantity, in_one
from benchmarks.measuring.taken import seconds, turn_by_turn
from jobs.base.logs import Progress
from jobs.embedding.backbones import RESNET18
from jobs.embedding.model import Model
from jobs.embedding.process import EmbeddingProcess
from jobs.embedding.shards import Outcome, Picture
from jobs.embedding.weights import Weights
from jobs.spark.embedding import embed_on_spark
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)

WORKERS = 2
WARM_UP = 64
"""Pictures embedded before each measurement, so that models are loaded: one shard per worker."""


def measure_engines(
    folder: Path, pictures: Sequence[Picture], weights: Weights, repeats: int
) -> list[Quantity]:
    """Embed all but the first ``WARM_UP`` of ``pictures`` by both engines, warm, turn by turn."""
    model = Model(RESNET18, weights)
    here, there = DataRoot(folder / "local"), DataRoot(folder / "spark")
    warm_up, others = pictures[:WARM_UP], pictures[WARM_UP:]
    with (
        on_workers(WORKERS),
        EmbeddingProcess(here, model, runtime=RUNTIME, threads=WORKERS) as process,
    ):

        def local() -> float:
            embed_again(process, here, warm_up)
            return embed_again(process, here, others)

        def spark() -> float:
            _embed_on_cluster(there, warm_up, model)
            return _embed_on_cluster(there, others, model)

        taken = turn_by_turn({"engine spark": spark, "engine local": local}, repeats)
    rates = taken["engine local"] / taken["engine spark"]
    return [
        Quantity(
            f"Spark, {WORKERS} workers of 1 core, against {WORKERS} cores of this machine, warm",
            in_one(rates, "{:.2f}".format),
            "at least 0.80",
        )
    ]


def _embed_on_cluster(root: DataRoot, pictures: Sequence[Picture], model: Model) -> float:
    """Seconds in which the session's cluster embeds ``pictures`` into the emptied ``root``."""
    empty(root)
    outcomes: list[Outcome] = []
    progress = Progress(len(pictures), "pictures", log)
    taken = seconds(lambda: outcomes.extend(embed_on_spark(pictures, root, model, progress, runtime=RUNTIME)))
    assert sum(outcome.embedded for outcome in outcomes) == len(pictures)
    return taken
