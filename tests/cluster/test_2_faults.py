"""Parts die during a run, and the run ends in the very same index."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.airflow_api import until
from tests.cluster.containers import INDEX, Containers

PICTURES = 1032
"""Three samples of 344."""


@pytest.fixture(scope="module")
def undisturbed(containers: Containers) -> dict[str, Any]:
    """What a run publishes that nothing happens to."""
    containers.forget()
    assert containers.end(containers.build()) == "success"
    return containers.published()


def wait_for(containers: Containers, run: str, task: str, sign: str) -> None:
    """Until the task runs and ``sign``, a pattern of paths in the data root, has come to be."""

    def there() -> bool:
        state = containers.states(run).get(task)
        assert state not in ("success", "failed"), f"{task} ended before it was disturbed"
        return state == "running" and bool(containers.shell("api-server", f"ls -d {sign} 2>&- || true"))

    until(there, 900, f"{task} with {sign}")


DISTURBANCES: dict[str, Callable[[Containers], object]] = {
    "a worker killed": lambda containers: containers.crash("spark-worker"),
    "the scheduler killed": lambda containers: containers.crash("scheduler"),
    "the api-server killed": lambda containers: containers.crash("api-server"),
    "PostgreSQL restarted": lambda containers: containers.compose("restart", "postgres"),
}


@pytest.mark.parametrize("what", DISTURBANCES)
def test_a_run_ends_in_the_same_index(
    containers: Containers, undisturbed: dict[str, Any], show: Callable[[str], None], what: str
) -> None:
    containers.forget()
    begun = time.monotonic()
    run = containers.build()
    for task, sign in (
        ("embed", "/data/embeddings/*/shard-*"),
        ("index", "/data/index/.tmp-*"),
    ):
        wait_for(containers, run, task, sign)
        DISTURBANCES[what](containers)
    assert containers.end(run) == "success", containers.states(run)
    assert containers.published() == undisturbed
    show(f"the same index {undisturbed['version']} after {time.monotonic() - begun:.0f} s")


def test_a_login_without_the_database_is_not_called_wrong(containers: Containers) -> None:
    login = {"username": containers.airflow.user, "password": containers.airflow.password}
    containers.compose("stop", "postgres")
    try:
        assert containers.airflow.request("POST", "/auth/token", login)[0] == 503
    finally:
        containers.compose("start", "postgres")
    containers.airflow.patiently(containers.airflow.log_in, "a login")


@pytest.fixture
def landed(inbox: Path) -> Iterator[Path]:
    yield inbox
    for file in inbox.iterdir():
        file.unlink()


def test_pictures_that_land_while_the_triggerer_is_stopped_are_indexed(
    containers: Containers, undisturbed: dict[str, Any], landed: Path, show: Callable[[str], None]
) -> None:
    before = containers.published()["images"]
    pictures = sorted(Path(containers.environment["LOOKALIKE_PICTURES"], "0").rglob("*.jpg"))[:10]
    earlier = len(containers.airflow.runs(INDEX))
    containers.compose("stop", "triggerer")
    for number, picture in enumerate(pictures):
        # Another content, so another picture.
        file = landed / f"landed-{number}.jpg"
        shutil.copy(picture, file)
        with file.open("ab") as end:
            end.write(b"landed")
        file.chmod(0o644)
    time.sleep(20)
    assert len(containers.airflow.runs(INDEX)) == earlier
    containers.compose("start", "triggerer")
    until(lambda: len(containers.airflow.runs(INDEX)) > earlier, 180, "a run for what landed")
    run = containers.airflow.runs(INDEX)[-1]["dag_run_id"]
    assert containers.end(run) == "success", containers.states(run)
    facts = containers.published()
    assert facts["images"] == before + len(pictures)
    assert facts["embedded"] == facts["embedded once"]
    show(f"{before} pictures became {facts['images']}")
