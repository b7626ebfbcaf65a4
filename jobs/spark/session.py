"""The Spark session that the steps run in, under spark-submit or on their own."""

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
    """Yield the session that runs already or, where there is none, one of spark-submit's or this machine's.

    Every ten seconds a line tells how far the running stages are.

    Raises LookalikeError if Spark finds a disk full.
    """
    running = SparkSession.getActiveSession()
    spark = running or SparkSession.builder.appName(f"lookalike {step}").getOrCreate()
    # Spark's 200 shuffle partitions suit terabytes; two a core keep all cores busy at any size here.
    spark.conf.set("spark.sql.shuffle.partitions", 2 * spark.sparkContext.defaultParallelism)
    done = Event()
    teller = Thread(target=_tell_progress, args=(spark, done), name=f"progress of {step}", daemon=True)
    teller.start()
    try:
        yield spark
    except (Py4JJavaError, PySparkException) as error:
        # Pages of Java, in which nobody finds this.
        if FULL not in str(error):
            raise
        raise LookalikeError(
            f"Spark can't write ({FULL}): make room in the data root, or where Spark puts things aside "
            "(spark.local.dir), and run again; what is done so far is kept."
        ) from error
    finally:
        done.set()
        teller.join()
        if not running:
            spark.stop()


def _tell_progress(spark: SparkSession, done: Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    while not done.wait(PROGRESS_EVERY_S):
        for stage in tracker.getActiveStageIds():
            if info := tracker.getStageInfo(stage):
                log.info(f"Spark stage {stage}: {info.numCompletedTasks:,} of {info.numTasks:,} tasks")
