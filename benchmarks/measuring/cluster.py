"""A Spark cluster on this machine, and a session on it for the steps to find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from tests.support.spark_cluster import standalone


@contextmanager
def on_workers(count: int) -> Iterator[SparkSession]:
    """A session on ``count`` workers of one core and 1 GB each; all end with the block."""
    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        # Work starts when all workers are there.
        "spark.cores.max": count,
        "spark.scheduler.minRegisteredResourcesRatio": 1.0,
    }
    with standalone(count) as cluster:
        spark = SparkSession.builder.master(cluster.master).config(map=settings).getOrCreate()
        try:
            yield spark
        finally:
            spark.stop()
