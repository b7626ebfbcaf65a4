"""Surroundings that every test shares: Airflow in a folder of its own, one Spark session."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession

from jobs.spark.session import spark_session

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"

# Airflow reads these at its first import, Spark's workers at their start.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="lookalike-airflow-")
os.environ.update(
    AIRFLOW_HOME=_AIRFLOW_HOME,
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW_CONN_SPARK_DEFAULT='{"conn_type":"spark","host":"local[*]"}',
    PYTHONPATH=str(PROJECT),
    PYSPARK_PYTHON=sys.executable,
    SPARK_CONF_DIR=str(PROJECT / "jobs" / "spark" / "conf"),
    SPARK_LOCAL_IP="127.0.0.1",
)
os.environ.pop("LOOKALIKE_CARS_DIR", None)
# Every JVM here lives for seconds: compiling well costs it more than it gains.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
# Otherwise it logs after pytest has closed its streams.
logging.getLogger("py4j").setLevel(logging.WARNING)

# The same examples each time, so a failure is the change's and can be repeated by anybody.
settings.register_profile("lookalike", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("lookalike")


_LONGEST = ("test_people", "test_faults", "test_whole_run", "test_engines")
"""Files that take minutes; begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else 99)


def pytest_sessionfinish() -> None:
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def cars() -> Path:
    """Real pictures in Kaggle's layout; tests that use them skip where they are absent."""
    folder = SHARED / "cars"
    if not (folder / "cars_train").is_dir():
        pytest.skip(f"no real pictures: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """A state dict trained on ImageNet; tests that use it skip where it is absent."""
    file = SHARED / "weights" / "resnet18_imagenet1k_v1_rebuilt.pth"
    if not file.is_file():
        pytest.skip(f"no ImageNet weights: {file} is absent")
    return file


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One session for all steps that run in this process; each would start its own, for seconds."""
    with spark_session("tests") as session:
        yield session


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data root, named by LOOKALIKE_DATA."""
    root = tmp_path / "data"
    monkeypatch.setenv("LOOKALIKE_DATA", str(root))
    yield root
