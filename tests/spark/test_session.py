"""The Spark session: its progress and its errors."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import jobs.spark.session
from jobs.base.errors import LookalikeError
from jobs.spark.session import spark_session


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
