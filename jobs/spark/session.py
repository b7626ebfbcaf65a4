"""The Spark session that a step runs in, with or without spark-submit."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten
from threading import Event, Thread

import pyspark
from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from jobs.base.errors import LookalikeError
from jobs.base.logs import PROGRESS_EVERY_S
from jobs.spark.environment import own_environment
from jobs.spark.master import LOST, unreachable, wait_for_master

log = logging.getLogger(__name__)

FULL = "No space left on device"
RAISED_BY_WORKER = re.compile(r"^jobs\.base\.errors\.LookalikeError: (.+)$", re.MULTILINE)
"""The last line of a Python worker's stack trace."""
UNREADABLE = re.compile(
    r"\[(PATH_NOT_FOUND|UNABLE_TO_INFER_SCHEMA|(CANNOT|FAILED)_READ_FILE)[\w.]*\].*"
    r"|.* is not a Parquet file.*|.*NoSuchElementException: head of empty array"
)
"""Spark's errors for files that are missing or corrupt."""


@contextmanager
def spark_session(step: str) -> Iterator[SparkSession]:
    """Yield the running session or, if there is none, start one: spark-submit's or on this machine.

    Every ten seconds a log line says how far the running stages are.

    Raises UnreachableError if the Spark master is away for long, LookalikeError if a disk that Spark writes
    to is full or a file that it reads is missing or corrupt, and what a Python worker raises.
    """
    running = SparkSession.getActiveSession()
    spark = running or _started(step)
    # Spark's 200 shuffle partitions suit terabytes; two per core keep all cores busy at any size here.
    spark.conf.set("spark.sql.shuffle.partitions", 2 * spark.sparkContext.defaultParallelism)
    done = Event()
    reporter = Thread(target=_log_progress, args=(spark, done), name=f"progress of {step}", daemon=True)
    reporter.start()
    try:
        yield spark
    except (Py4JJavaError, PySparkException) as error:
        # Otherwise the cause is lost in pages of stack traces of Java and of Python workers.
        if sentence := RAISED_BY_WORKER.search(str(error)):
            raise LookalikeError(sentence[1]) from error
        if unreadable := UNREADABLE.search(str(error)):
            raise LookalikeError(
                f"Spark can't read its input ({shorten(unreadable[0], 200, placeholder=' ...')}): "
                "delete the folder that it is in and run the step that makes it again."
            ) from error
        if LOST.search(str(error)):
            raise unreachable(str(spark.sparkContext.master), "it has dropped this job") from error
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


def _started(step: str) -> SparkSession:
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit has not started Java
        os.environ.update(own_environment())
    # Otherwise SparkConf does not know what spark-submit was told.
    SparkContext._ensure_initialized()
    master = SparkConf().get("spark.master", "local[*]") or ""
    wait_for_master(master)
    builder = SparkSession.builder.appName(f"lookalike {step}")
    # Paths are local, or shared and at the same place everywhere, even where HADOOP_CONF_DIR names another.
    try:
        spark = builder.config("spark.hadoop.fs.defaultFS", "file:///").getOrCreate()
    except Py4JJavaError as error:
        if LOST.search(str(error)):
            raise unreachable(master, "it does not accept this job") from error
        raise
    if spark.version != pyspark.__version__:
        raise LookalikeError(
            f"this is Spark {spark.version}, and Lookalike needs {pyspark.__version__}: "
            "unset SPARK_HOME, and run the spark-submit in .venv/bin."
        )
    return spark


def _log_progress(spark: SparkSession, done: Event) -> None:
    tracker = spark.sparkContext.statusTracker()
    while not done.wait(PROGRESS_EVERY_S):
        for stage in tracker.getActiveStageIds():
            if info := tracker.getStageInfo(stage):
                log.info(f"Spark stage {stage}: {info.numCompletedTasks:,} of {info.numTasks:,} tasks")
