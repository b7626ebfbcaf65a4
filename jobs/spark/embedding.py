"""Embed on Spark's executors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

from pyspark import SparkFiles

from jobs.base.errors import KilledError, LookalikeError
from jobs.base.logs import PROGRESS_EVERY_S, Progress
from jobs.embedding.model import Model
from jobs.embedding.process import EmbeddingProcess
from jobs.embedding.shards import SHARD, Outcome, Picture, Shard, cut
from jobs.spark.session import spark_session
from jobs.store.root import DataRoot


def embed_on_spark(
    pictures: Sequence[Picture], root: DataRoot, model: Model, progress: Progress, *, runtime: str
) -> Iterator[Outcome]:
    """Embed on Spark's executors, with ``spark.task.cpus`` threads per task and one task per shard.

    They read pictures from and write shards to the same paths as this machine; the weights are
    sent to each executor once and stay loaded in its worker. A shard whose worker is lost is
    embedded by another one.
    """
    with spark_session("embed") as spark:
        context = spark.sparkContext
        threads = int(context.getConf().get("spark.task.cpus", "1"))
        if model.weights.file:
            # Spark sends the target of a link, under the target's name.
            model = replace(model, weights=replace(model.weights, file=model.weights.file.resolve()))
            context.addFile(str(model.weights.file))
        # Few pictures are cut into small shards, so that all workers get some and end together.
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
                    raise  # Spark retries, perhaps on another executor
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
"""Of this Python worker, which Spark reuses from task to task."""


def _embed_in_worker(shard: Shard, *, root: DataRoot, model: Model, runtime: str, threads: int) -> Outcome:
    key = model.fingerprint, runtime, threads
    if key not in _processes:
        if model.weights.file:
            sent = Path(SparkFiles.get(model.weights.file.name))
            model = replace(model, weights=replace(model.weights, file=sent))
        _processes[key] = EmbeddingProcess(root, model, runtime=runtime, threads=threads)
    (outcome,) = _processes[key].embed([shard], lambda count: None)
    return outcome
