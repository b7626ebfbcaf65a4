"""What Spark writes into a step's log: its warnings, without those that need no action here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUBMIT = Path(sys.executable).with_name("spark-submit")
PROGRAM = """
from pyspark.ml.feature import PCA
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
rows = [(Vectors.dense([float(row % (column + 2)) for column in range(8)]),) for row in range(50)]
PCA(k=2, inputCol="vector", outputCol="reduced").fit(spark.createDataFrame(rows, ["vector"]))
loggers = spark._jvm.org.apache.logging.log4j.LogManager
loggers.getLogger("org.apache.spark.Example").warn("the disk is nearly full")
spark.stop()
"""
NOISE = (
    "Unable to load native-hadoop library",
    "Failed to load implementation from",
    "netlib-blas",
    "netlib-lapack",
    "resolves to a loopback address",
    "Set SPARK_LOCAL_IP",
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The log of a PCA under spark-submit, with the settings of the tests: those in jobs/spark/conf."""
    program = tmp_path_factory.mktemp("log") / "pca.py"
    program.write_text(PROGRAM)
    # Without an address Spark would warn which one it took.
    environment = {name: value for name, value in os.environ.items() if name != "SPARK_LOCAL_IP"}
    run = subprocess.run(
        [SUBMIT, "--master", "local[1]", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return run.stdout


def test_a_warning_is_one_line_of_the_log(log: str) -> None:
    assert log.splitlines().count("spark WARN Example: the disk is nearly full") == 1


@pytest.mark.parametrize("line", NOISE)
def test_warnings_that_need_no_action_are_left_out(log: str, line: str) -> None:
    assert line not in log


def test_nothing_below_a_warning_is_logged(log: str) -> None:
    assert " INFO " not in log
