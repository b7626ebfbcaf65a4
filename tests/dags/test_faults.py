"""Airflow on PostgreSQL loses its scheduler and its database during a run, and the run succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from scripts.airflow_api import AirflowApi, until
from tests.support.airflow_parts import parts
from tests.support.pictures import write_pictures
from tests.support.postgres import postgres

INDEX = "similarity_index"
PICTURES = 40


def wait_for(airflow: AirflowApi, run: str, task: str) -> None:
    def runs() -> bool:
        state = airflow.patiently(lambda: airflow.tasks(INDEX, run), run).get(task)
        assert state not in ("success", "failed"), f"{task} ended before it was disturbed"
        return state == "running"

    until(runs, 300, task)


@pytest.mark.timeout(1500)
def test_a_run_outlives_its_scheduler_and_its_database(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", PICTURES)
    root = DataRoot(tmp_path / "data")
    with (
        postgres() as database,
        parts(tmp_path / "airflow", database.url, LOOKALIKE_DATA=str(root.root)) as (airflow, processes),
    ):
        asked = {"source": "folder", "folder": str(tmp_path / "pictures"), "weights": "random"}
        run = airflow.trigger(INDEX, **asked)
        wait_for(airflow, run, "embed")
        processes.kill("scheduler")
        wait_for(airflow, run, "index")
        database.control("restart", "-m", "immediate")
        airflow.finish(INDEX, run, 1200)
    index = open_index(root)
    index.verify(content=True)
    store = EmbeddingStore(root.embeddings / index.manifest()["model"]["fingerprint"])
    assert len(store.read()[0]) == len(store.ids()) == index.manifest()["images"] == PICTURES
    assert not list(root.index.glob(".tmp-*"))
