"""What every test shares: Airflow in a folder of its own, one Spark session."""

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

import jobs.spark.parts
from jobs.spark.session import spark_session
from jobs.store.root import PROJECT
from tests.support.shapes import SHAPES, Shape

SHARED = PROJECT.parent / "shared"

# Airflow reads these at its first import, Spark's workers at their start.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="lookalike-airflow-")
os.environ.update(
    AIRFLOW_HOME=_AIRFLOW_HOME,
    # Threads that wait for each other cost more than they gain here: two tests run at once.
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW_CONN_SPARK_DEFAULT='{"conn_type":"spark","host":"local[*]"}',
    PYTHONPATH=str(PROJECT),
    PYSPARK_PYTHON=sys.executable,
    SPARK_CONF_DIR=str(PROJECT / "jobs" / "spark" / "conf"),
    SPARK_LOCAL_IP="127.0.0.1",
)
for name in ("LOOKALIKE_CARS_DIR", "LOOKALIKE_ROOTS"):
    os.environ.pop(name, None)
# Every JVM here lives for seconds: compiling well costs it more than it gains.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
# py4j logs when its sockets close, after pytest has closed the streams it would log to.
logging.getLogger("py4j").setLevel(logging.WARNING)

# The same examples each time, so that a failure comes from the change and can be repeated.
settings.register_profile("lookalike", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("lookalike")


LONGEST = ("test_people", "test_faults", "test_whole_run", "test_interleaved", "test_engines", "test_report")
"""Files that take minutes; they start first, so that they don't run alone at the end."""

ALLOWED_SKIPS = (
    "root may read any file",  # containers run tests as root
    "no real pictures",  # they may not be handed on
    "no ImageNet weights",  # neither may these
    "this processor does not compute bf16",
)
"""The reasons to skip that are allowed if ``CI`` is set; any other skip fails the run there."""


SLOW_FOLDERS = ("spark", "dags", "plugins", "cluster")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without the slow tests nothing need be imported for them: Airflow takes seconds, in each process."""
    fast = config.getoption("markexpr") == "not slow" and collection_path.name in SLOW_FOLDERS
    return True if fast and collection_path.parent == Path(__file__).parent else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else 99)
    for item in items:
        if SLOW.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker("slow")


SLOW = {"spark"}
"""Fixtures that take seconds to start."""

_unexpected_skips: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            _unexpected_skips.append(f"{report.nodeid}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _unexpected_skips and os.environ.get("CI"):
        terminalreporter.section("skips that are not allowed: see ALLOWED_SKIPS in tests/conftest.py")
        terminalreporter.write_line("\n".join(_unexpected_skips))


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)
    if _unexpected_skips and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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


@pytest.fixture(scope="module", params=list(SHAPES.values()), ids=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> Iterator[Shape]:
    """Indexes that are built while it lasts have vectors of its dimension and parts of its size."""
    shape: Shape = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.spark.parts.ROWS", shape.rows or jobs.spark.parts.ROWS)
        yield shape


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data root, named by LOOKALIKE_DATA."""
    root = tmp_path / "data"
    monkeypatch.setenv("LOOKALIKE_DATA", str(root))
    yield root
