"""The Spark session that the steps run in, under spark-submit or on their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession


@contextmanager
def spark_session(step: str) -> Iterator[SparkSession]:
    """Yield the session of spark-submit or, where there is none, one on this machine's cores."""
    spark = SparkSession.builder.appName(f"lookalike {step}").getOrCreate()
    # Spark's 200 shuffle partitions suit terabytes; two a core keep all cores busy at any size here.
    spark.conf.set("spark.sql.shuffle.partitions", 2 * spark.sparkContext.defaultParallelism)
    try:
        yield spark
    finally:
        spark.stop()
