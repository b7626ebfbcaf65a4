"""The Spark session that a step runs in, with or without spark-submit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from jobs.base.errors import LookalikeError
from jobs.base.logs import PROGRESS_EVERY_S

log = logging.getLogger(__name__)

FULL = "No space left on device"


@contextmanager
def spark_session(step: str) -> Iterator[SparkSession]:
    """Yield the running session or, if there is none, start one: spark-submit's or on this machine.

    Every ten seconds a log line says how far the running stages are.

    Raises LookalikeError if a disk that Spark writes to is full.
    """
    running = SparkSession.getActiveSession()
    spark = running or SparkSession.builder.appName(f"lookalike {step}").getOrCreate()
    # Spark's 200 shuffle partitions suit terabytes; two per core keep all cores busy at any size here.
    spark.conf.set("spark.sql.shuffle.partitions", 2 * spark.sparkContext.defaultParallelism)
    done = Event()
    reporter = Thread(target=_log_progress, args=(spark, done), name=f"progress of {step}", daemon=True)
    reporter.start()
    try:
        yield spark
    except (Py4JJavaError, PySparkException) as error:
        # Otherwise the cause is lost in pages of Java stack traces.
        if FULL not in str(error):
            raise
        raise LookalikeError(
            f"Spark can't write ({FULL}): free some space in the data root or in Spark's scratch folder "
            "(spark.local.dir), and run again; what is done so far is kept."
        ) from error
    finally:
        done.set()
        reporter.join()
        if not running:
            spark.stop()


def _log_progress(spark: SparkSession, done: Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    while not done.wait(PROGRESS_EVERY_S):
        for stage in tracker.getActiveStageIds():
            if info := tracker.getStageInfo(stage):
                log.info(f"Spark stage {stage}: {info.numCompletedTasks:,} of {info.numTasks:,} tasks")
