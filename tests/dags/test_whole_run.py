"""Whole runs of the DAGs by Airflow's own task runner, with real SparkSubmitOperators."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.store.catalog import read_catalog, read_counts
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import PROJECT, DataRoot
from jobs.store.versions import open_index
from scripts.dag_run import DagRun, run_dag
from tests.support.dags import TASKS


class Runs:
    """Runs DAGs over one data root and keeps what they said."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.root = DataRoot(folder / "data")
        self.home = home
        self.log = self.home / "run.log"
        self.lines: list[str] = []

    def run(self, dag_id: str, **conf: Any) -> DagRun:
        self.lines = []
        return run_dag(dag_id, conf, self.home, self.lines.append)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    odd = tmp_path_factory.mktemp("runs") / "a [x] {é}, 漢 %20 #1 'q' \"r\" *?$"
    return Runs(odd, tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module", autouse=True)
def checkout_and_data_root(runs: Runs) -> Iterator[None]:
    """Both in a folder whose name shells, URLs and Spark's patterns would misread."""
    checkout = runs.root.root.parent.parent / "look [x] {é}, 漢 #1 'q' \"r\" *"
    for folder in ("dags", "jobs", "plugins"):
        shutil.copytree(PROJECT / folder, checkout / folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOKALIKE_DATA", str(runs.root.root))
        patch.setenv("PYTHONPATH", str(checkout))
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(checkout / "dags"))
        patch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", str(checkout / "plugins"))
        patch.setenv("SPARK_CONF_DIR", str(checkout / "jobs" / "spark" / "conf"))
        yield


@pytest.fixture(scope="module")
def sample_run(runs: Runs) -> DagRun:
    run = runs.run("similarity_index", source="sample", weights="random", seed=3)
    assert run.succeeded, runs.log.read_text()[-8000:]
    return run


def test_the_sample_goes_from_pictures_to_a_montage(runs: Runs, sample_run: DagRun) -> None:
    assert list(sample_run.seconds) == TASKS["similarity_index"]
    rows = read_catalog(runs.root)
    usable = {row["id"] for row in rows if row["status"] == "ok"}
    reasons = {row["reason"] for row in rows if row["status"] == "quarantined"}
    assert len(usable) >= 300
    assert len({row["class_name"] for row in rows} - {None}) >= 12
    assert any("empty" in reason for reason in reasons) and any("cut off" in reason for reason in reasons)
    counts = read_counts(runs.root)
    assert counts["unmatched_rows"] >= 1 and counts["unmatched_files"] >= 1

    index = open_index(runs.root)
    manifest = index.manifest()
    assert manifest["images"] == len(usable)
    assert manifest["model"]["weights"] == "random"
    assert EmbeddingStore(runs.root.embeddings / manifest["model"]["fingerprint"]).ids() == usable

    assert manifest["search"] == "sketch"
    assert manifest["recall"]["lower_bound"] >= manifest["recall"]["target"] == 0.95

    page = index.report_file.read_text()
    assert index.version in page and page.count("data:image/jpeg") >= 6

    answer = json.loads((sample_run.answer / "neighbours.json").read_text())
    assert answer["method"] == "sketch"
    assert answer["index"]["version"] == index.version
    distances = [neighbour["distance"] for neighbour in answer["neighbours"]]
    assert len(distances) == 5 and distances == sorted(distances)
    assert answer["query"]["id"] not in {neighbour["id"] for neighbour in answer["neighbours"]}
    with Image.open(sample_run.answer / "montage.png") as montage:
        assert montage.format == "PNG" and montage.width > 1000


def test_the_log_is_fit_for_people(sample_run: DagRun, runs: Runs) -> None:
    log = runs.log.read_text()
    for wanted in ("pictures/s", "quarantined", "published index", "rank", "montage.png"):
        assert wanted in log
    assert "INFO SparkContext" not in log and "INFO BlockManager" not in log


def test_a_second_run_computes_nothing_and_publishes_the_same_version(runs: Runs, sample_run: DagRun) -> None:
    index = open_index(runs.root)
    before = {file: file.stat().st_mtime_ns for file in runs.root.root.rglob("*") if "shard-" in file.name}
    before[index.manifest_file] = index.manifest_file.stat().st_mtime_ns
    run = runs.run("similarity_index", source="sample", weights="random", seed=4)
    assert run.succeeded
    assert open_index(runs.root) == index
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert json.loads((run.answer / "neighbours.json").read_text())["query"]["id"] not in (None, "")


def test_the_query_dag_answers_for_a_picture_that_is_not_in_the_index(
    runs: Runs, sample_run: DagRun, tmp_path: Path
) -> None:
    source = next(row for row in read_catalog(runs.root) if row["status"] == "ok" and row["class_name"])
    with Image.open(source["path"]) as image:
        image.convert("RGB").resize((200, 150)).save(tmp_path / "it's a 写真.png")
    run = runs.run("similarity_query", query=str(tmp_path / "it's a 写真.png"), k=3)
    assert run.succeeded, runs.log.read_text()[-8000:]
    answer = json.loads((run.answer / "neighbours.json").read_text())
    assert answer["query"]["id"] is None
    assert len(answer["neighbours"]) == 3
    assert source["class_name"] in {neighbour["class_name"] for neighbour in answer["neighbours"]}
    assert (run.answer / "montage.png").is_file() and (run.answer / "query.jpg").is_file()


def test_an_empty_folder_fails_with_a_sentence_and_keeps_the_published_index(
    runs: Runs, sample_run: DagRun, tmp_path: Path
) -> None:
    index = open_index(runs.root)
    run = runs.run("similarity_index", source="folder", folder=str(tmp_path), weights="random")
    assert not run.succeeded
    assert any(f"no picture file in {tmp_path}: put pictures there." in line for line in runs.lines)
    assert open_index(runs.root) == index


def test_real_cars_with_imagenet_weights(
    cars: Path, imagenet_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_CARS_DIR", str(cars))
    monkeypatch.setenv("LOOKALIKE_DATA", str(tmp_path / "data"))
    lines: list[str] = []
    weights = tmp_path / "a link.pth"
    weights.symlink_to(imagenet_weights)
    conf = {"source": "stanford_cars", "limit": 300, "weights": str(weights)}
    conf |= {"engine": "spark", "format": "csv"}
    run = run_dag("similarity_index", conf, tmp_path / "airflow", lines.append)
    assert run.succeeded, (tmp_path / "airflow" / "run.log").read_text()[-8000:]
    root = DataRoot(tmp_path / "data")
    counts = read_counts(root)
    assert (counts["files"], counts["labelled"], counts["unmatched_rows"]) == (300, 300, 5204)
    manifest = open_index(root).manifest()
    assert manifest["images"] == 300 - counts["duplicate_files"] // 2
    assert (manifest["model"]["weights"], manifest["model"]["precision"]) == (str(weights), "fp32")
    assert [runtime.split()[0] for runtime in manifest["model"]["runtimes"]] == ["OpenVINO"]
    assert any(line.startswith("  300 pictures in 0:") and line.endswith("pictures/s") for line in lines), (
        lines
    )
    answer = json.loads((run.answer / "neighbours.json").read_text())
    assert len(answer["neighbours"]) == 5
    # Cars look alike to ImageNet's weights, but not the same: unit vectors some way apart.
    assert all(0.05 < neighbour["distance"] < 1 for neighbour in answer["neighbours"])
