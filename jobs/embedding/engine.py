"""Engines embed pictures; the default one does so on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jobs.base.logs import Progress
from jobs.base.machine import cores
from jobs.embedding.model import Model
from jobs.embedding.process import EmbeddingProcess
from jobs.embedding.shards import Outcome, Picture, cut
from jobs.store.root import DataRoot

Engine = Callable[[Sequence[Picture], DataRoot, Model, Progress], Iterator[Outcome]]
"""Embeds and stores the pictures, counts them in Progress and yields the Outcome of each shard."""


def embed_here(
    pictures: Sequence[Picture],
    root: DataRoot,
    model: Model,
    progress: Progress,
    *,
    runtime: str,
    threads: int | None,
) -> Iterator[Outcome]:
    """Embed on ``threads`` cores of this machine, all of them if None, or on its GPU."""
    with EmbeddingProcess(root, model, runtime=runtime, threads=threads or cores()) as process:
        yield from process.embed(cut(pictures), progress.advance)
