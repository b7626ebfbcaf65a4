"""Embedding from files, end to end, compared with what the same cores allow and with the usual ways."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.embedding.alone import RUNTIME, Alone
from benchmarks.embedding.usual import SameWeights, one_at_a_time
from benchmarks.measuring.shown import NO_BAR, Quantity, factor, in_one, number, say, spread, table
from benchmarks.measuring.taken import seconds, turn_by_turn
from jobs.base.machine import cores
from jobs.embedding.backbones import RESNET18
from jobs.embedding.model import Model
from jobs.embedding.network import load_network
from jobs.embedding.process import EmbeddingProcess
from jobs.embedding.shards import Outcome, Picture, cut
from jobs.embedding.weights import Weights
from jobs.lsh.nearest import nearest_others
from jobs.lsh.sketch import Floats
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot

WARM_UP = 64
K = 5

LOOP = "one at a time, eager PyTorch"
ONE, BATCHES = "img2vec_pytorch, one at a time", "img2vec_pytorch, in batches"
WHOLE, FORWARD, DECODING = "end to end", "forward alone", "decode, resize and write alone"
TIMES_THE_LOOP = {"fp32": 2, "bf16": 4}

Taken = Mapping[str, NDArray[np.float64]]
"""Way -> seconds, turn by turn."""


def measure_rates(
    folder: Path, pictures: Sequence[Picture], weights: Weights, precisions: Sequence[str], repeats: int
) -> list[Quantity]:
    """Embed ``pictures`` in every way, turn by turn; print the rates."""
    files = [picture.paths[0] for picture in pictures]
    network, img2vec = load_network(RESNET18, weights), SameWeights(weights)
    say("embedding the usual way, for comparison")
    reference = one_at_a_time(network, files)
    img2vec.in_batches(files[:WARM_UP])
    ways: dict[str, Callable[[], float]] = {
        LOOP: lambda: seconds(lambda: one_at_a_time(network, files)),
        ONE: lambda: seconds(lambda: img2vec.one_by_one(files)),
        BATCHES: lambda: seconds(lambda: img2vec.in_batches(files)),
    }
    models = {precision: Model(RESNET18, weights, precision=precision) for precision in precisions}
    with ExitStack() as ends:
        for precision, model in models.items():
            root = DataRoot(folder / precision)
            process = EmbeddingProcess(root, model, runtime=RUNTIME, threads=cores())
            embed_again(ends.enter_context(process), root, pictures[:WARM_UP])
            alone = Alone(model, files, folder / "copies")
            ways[f"{WHOLE}, {precision}"] = partial(embed_again, process, root, pictures)
            ways[f"{FORWARD}, {precision}"] = alone.forward
            ways[DECODING] = alone.decoding  # the same at any precision
        taken = turn_by_turn(ways, repeats)
    table(
        f"Pictures per second, {len(pictures):,} pictures on {cores()} cores:",
        ["way", "median", "least", "most"],
        [[way, *spread(len(pictures) / each, number)] for way, each in taken.items()],
    )
    quantities = []
    for precision, model in models.items():
        quantities += _ratios(taken, precision)
        store = EmbeddingStore(DataRoot(folder / precision).embeddings / model.fingerprint)
        quantities += _likeness(store.read()[1], reference, precision)
    return quantities


def embed_again(process: EmbeddingProcess, root: DataRoot, pictures: Sequence[Picture]) -> float:
    """The seconds that ``process`` takes to embed ``pictures`` into the emptied ``root``."""
    empty(root)
    outcomes: list[Outcome] = []
    taken = seconds(lambda: outcomes.extend(process.embed(cut(pictures), lambda count: None)))
    assert sum(outcome.embedded for outcome in outcomes) == len(pictures)
    return taken


def empty(root: DataRoot) -> None:
    """Remove the results of the step embed."""
    for folder in (root.resized, root.embeddings):
        shutil.rmtree(folder, ignore_errors=True)


def _ratios(taken: Taken, precision: str) -> list[Quantity]:
    whole, forward, decoding, loop, one, batches = (
        taken[way]
        for way in (f"{WHOLE}, {precision}", f"{FORWARD}, {precision}", DECODING, LOOP, ONE, BATCHES)
    )
    return [
        Quantity(
            f"{WHOLE} against the same cores' limit, {precision}",
            in_one((forward + decoding) / whole, "{:.3f}".format),
            "at least 0.92",
        ),
        Quantity(
            f"{WHOLE} against {LOOP}, {precision}",
            in_one(loop / whole, factor),
            f"at least {TIMES_THE_LOOP[precision]} x",
        ),
        Quantity(
            f"{WHOLE} against img2vec_pytorch's faster way, {precision}",
            in_one(np.minimum(one, batches) / whole, factor),
            "at least 3 x",
        ),
    ]


def _likeness(ours: Floats, usual: Floats, precision: str) -> list[Quantity]:
    """How similar the stored embeddings are to those by torchvision's transforms and PyTorch's fp32."""
    ours, usual = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (ours, usual))
    nearest = zip(nearest_others(ours, ours, K), nearest_others(usual, usual, K), strict=True)
    shared = np.mean([len(np.intersect1d(*rows)) / K for rows in nearest])
    cosine = (ours * usual).sum(axis=1, dtype=np.float64).min()
    return [
        Quantity(f"least cosine to torchvision and eager PyTorch, {precision}", f"{cosine:.6f}", NO_BAR),
        Quantity(f"the same {K} nearest among {len(ours):,}, {precision}", f"{shared:.2%}", NO_BAR),
    ]
