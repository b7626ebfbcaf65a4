"""The Spark session: its progress and its errors."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import SparkSession

import jobs.spark.session
from jobs.base.errors import LookalikeError
from jobs.spark.session import spark_session
from tests.support.damage import cut_off, delete, empty, scribble, scribble_inside


class Noting(logging.Handler):
    """Creates a file, which Spark's workers can see, when progress is logged."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line.startswith("Spark stage") and line.endswith("of 8 tasks"):
            self.file.touch()


@pytest.fixture
def logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Path]:
    logger, handler = logging.getLogger("jobs.spark.session"), Noting(tmp_path / "logged")
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, logger=logger.name):
        yield handler.file
    logger.removeHandler(handler)


def test_long_work_logs_its_progress_until_it_ends(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, logged: Path
) -> None:
    too_long = time.time() + 120

    def until_logged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            while not logged.exists() and time.time() < too_long:
                time.sleep(0.02)
            yield batch

    monkeypatch.setattr(jobs.spark.session, "PROGRESS_EVERY_S", 0.1)
    with spark_session("slow") as session:
        assert "progress of slow" in [thread.name for thread in threading.enumerate()]
        assert session.range(0, 8, 1, 8).mapInArrow(until_logged, "id long").count() == 8
    assert logged.exists()
    assert "progress of slow" not in [thread.name for thread in threading.enumerate()]


def test_a_session_that_runs_already_is_used_and_left_running(spark: SparkSession) -> None:
    with spark_session("inner") as session:
        assert session is spark
    assert spark.range(3).count() == 3


@pytest.mark.parametrize("damage", [delete, cut_off, empty, scribble, scribble_inside])
def test_a_vector_file_that_cannot_be_read_is_one_sentence(
    spark: SparkSession, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    spark.range(1000).coalesce(1).write.parquet(str(tmp_path / "numbers"))
    (file,) = (tmp_path / "numbers").glob("*.parquet")
    damage(file)
    with pytest.raises(LookalikeError, match=r"^Spark can't read its input \(.*\): delete .* again\.$"):
        sum_of(tmp_path / "numbers")


@pytest.mark.parametrize("damage", [delete, empty, scribble])
def test_a_saved_model_that_cannot_be_read_is_one_sentence(
    spark: SparkSession, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    VectorAssembler(inputCols=["a"], outputCol="b").save(str(tmp_path / "model"))
    (file,) = (tmp_path / "model" / "metadata").glob("part-*")
    damage(file)
    with (
        pytest.raises(LookalikeError, match=r"^Spark can't read its input \(.*\): delete .* again\.$"),
        spark_session("inner"),
    ):
        VectorAssembler.load(str(tmp_path / "model"))


def sum_of(folder: Path) -> int:
    with spark_session("inner") as session:
        return sum(row["id"] for row in session.read.parquet(str(folder)).collect())


def test_what_a_worker_says_is_the_sentence(spark: SparkSession) -> None:
    def refuse(rows: Iterable[int]) -> Iterable[object]:
        raise LookalikeError("No cat is a dog: choose another.")

    with pytest.raises(LookalikeError, match=r"^No cat is a dog: choose another\.$"), spark_session("inner"):
        spark.sparkContext.range(3).mapPartitions(refuse).collect()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True)
    if mount.returncode:
        pytest.skip(f"no small disk to fill: {mount.stderr.decode().strip()}")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_a_full_disk_is_reported_in_a_sentence(spark: SparkSession, small_disk: Path) -> None:
    with (
        pytest.raises(LookalikeError, match=r"No space left on device.*free some space"),
        spark_session("full"),
    ):
        spark.range(100_000).write.parquet(str(small_disk / "numbers"))
