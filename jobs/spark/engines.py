"""Where shards are embedded: on this machine, or by a Spark cluster that shares the data root."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

from jobs.base.errors import KilledError, LookalikeError
from jobs.base.logs import PROGRESS_EVERY_S, Progress
from jobs.base.machine import cores
from jobs.embedding.model import Model
from jobs.embedding.process import EmbeddingProcess
from jobs.embedding.shards import SHARD, Outcome, Picture, Shard, cut
from jobs.store.root import DataRoot

ENGINES = ("local", "spark")

Engine = Callable[[Sequence[Picture], DataRoot, Model, Progress], Iterator[Outcome]]
"""Embeds and stores the pictures, counts them in Progress and tells what became of each shard."""


def engine_of(name: str, runtime: str = "auto", threads: int | None = None) -> Engine:
    """The engine ``local``, on ``threads`` cores or all of them, or ``spark``."""
    if name == "spark":
        return partial(embed_on_spark, runtime=runtime)
    return partial(embed_here, runtime=runtime, threads=threads or cores())


def embed_here(
    pictures: Sequence[Picture],
    root: DataRoot,
    model: Model,
    progress: Progress,
    *,
    runtime: str,
    threads: int,
) -> Iterator[Outcome]:
    """Embed on ``threads`` cores of this machine, or on its GPU."""
    with EmbeddingProcess(root, model, runtime=runtime, threads=threads) as process:
        yield from process.embed(cut(pictures), progress.advance)


def embed_on_spark(
    pictures: Sequence[Picture], root: DataRoot, model: Model, progress: Progress, *, runtime: str
) -> Iterator[Outcome]:
    """Embed in Spark's executors, ``spark.task.cpus`` threads a task, one task a shard.

    They read pictures from and write shards to the same paths as this machine; the weights are
    sent to each executor once and stay loaded in its worker. A shard whose worker is lost is
    embedded by another one.
    """
    from jobs.spark.session import spark_session

    with spark_session("embed") as spark:
        context = spark.sparkContext
        threads = int(context.getConf().get("spark.task.cpus", "1"))
        if model.weights.file:
            # Spark sends a link's target, under the target's name.
            model = replace(model, weights=replace(model.weights, file=model.weights.file.resolve()))
            context.addFile(str(model.weights.file))
        # Few pictures are cut into small shards, so that all workers have some and end together.
        shards = cut(pictures, min(SHARD, max(32, len(pictures) // 64)))
        done = context.accumulator(0)
        ended = Event()

        def follow() -> None:
            while not ended.wait(PROGRESS_EVERY_S):
                progress.advance(done.value - progress.done)

        follower = Thread(target=follow, daemon=True)
        follower.start()
        try:
            embed = partial(_embed_in_worker, root=root, model=model, runtime=runtime, threads=threads)

            def counted(shard: Shard) -> Outcome | LookalikeError:
                try:
                    outcome = embed(shard)
                except KilledError:
                    raise  # Spark tries again, perhaps elsewhere
                except LookalikeError as error:
                    return error
                done.add(len(shard))
                return outcome

            for outcome in context.parallelize(shards, len(shards)).map(counted).collect():
                if isinstance(outcome, LookalikeError):
                    raise outcome
                yield outcome
        finally:
            ended.set()
            follower.join()
            progress.advance(done.value - progress.done)


_processes: dict[tuple[str, str, int], EmbeddingProcess] = {}
"""Of this Spark worker, which Spark keeps from task to task."""


def _embed_in_worker(shard: Shard, *, root: DataRoot, model: Model, runtime: str, threads: int) -> Outcome:
    from pyspark import SparkFiles

    key = model.fingerprint, runtime, threads
    if key not in _processes:
        if model.weights.file:
            sent = Path(SparkFiles.get(model.weights.file.name))
            model = replace(model, weights=replace(model.weights, file=sent))
        _processes[key] = EmbeddingProcess(root, model, runtime=runtime, threads=threads)
    (outcome,) = _processes[key].embed([shard], lambda count: None)
    return outcome
