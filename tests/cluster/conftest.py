"""One set of containers for all scenarios, from nothing, and what they showed at the end.

Run by ``make test-cluster``, which needs a Docker engine with Compose and about an hour.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.intake.sample import draw_sample
from jobs.store.root import PROJECT
from scripts.airflow_api import AirflowApi
from tests.cluster.containers import Containers
from tests.support.airflow_server import free_ports

DRAWN = 3
"""Samples of 344 pictures each."""

_shown: list[str] = []


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a line for the list that is printed at the end."""
    return lambda line: _shown.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _shown:
        terminalreporter.section("shown")
    for line in _shown:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    if shutil.which("docker") is None:
        pytest.skip("no Docker: the containers can't be started")
    folder = tmp_path_factory.mktemp("cluster")
    for number in range(DRAWN):
        draw_sample(folder / "pictures" / str(number), seed=number)
    (folder / "inbox").mkdir()
    (port,) = free_ports(1)
    environment = {
        "COMPOSE_PROJECT_NAME": "lookalike-test",
        "COMPOSE_FILE": f"docker-compose.yaml{os.pathsep}tests/cluster/overrides.yaml",
        "LOOKALIKE_PORT": port,
        "LOOKALIKE_INBOX": str(folder / "inbox"),
        "LOOKALIKE_PICTURES": str(folder / "pictures"),
        "AIRFLOW_USER": "admin",
        "AIRFLOW_PASSWORD": "only-for-this-test",
        "SPARK_WORKERS": "2",
        "SPARK_WORKER_CORES": "1",
    }
    airflow = AirflowApi(
        base=f"http://127.0.0.1:{port}", user="admin", password=environment["AIRFLOW_PASSWORD"]
    )
    started = Containers(environment, airflow)
    if not (PROJECT / ".env").exists():
        started._run([str(PROJECT / "cluster" / "make_env.sh")])
    started.compose("down", "--volumes")
    begun = time.monotonic()
    try:
        started.make("up")
        _shown.append(f"make up, the image being built: {time.monotonic() - begun:.0f} s")
        airflow.log_in()
        yield started
    finally:
        if not os.environ.get("LOOKALIKE_KEEP_CONTAINERS"):
            started.compose("down", "--volumes")


@pytest.fixture(scope="session")
def inbox(containers: Containers) -> Path:
    return Path(containers.environment["LOOKALIKE_INBOX"])
