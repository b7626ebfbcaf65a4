"""Calibration, gate and the sketch search over a real index, by Spark, against exact search by NumPy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.calibrate import calibrate_vectors, open_calibration
from jobs.errors import LookalikeError
from jobs.index import LshParams, build_index
from jobs.manifest import Index, open_index
from jobs.packed import Part, parts
from jobs.paths import DataRoot
from jobs.query import answer
from jobs.search import search_many
from jobs.session import spark_session
from jobs.sketch import Floats, Sketch
from jobs.vectors import assemble_vectors
from tests.synthetic import FINGERPRINT, make_root, picture_id, unit_vectors

PICTURES = 500


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    root, _ = make_root(tmp_path_factory.mktemp("recall"), PICTURES)
    assemble_vectors(root, FINGERPRINT)
    calibrate_vectors(root)
    return root


@pytest.fixture(scope="module")
def index(root: DataRoot) -> Index:
    return build_index(root, LshParams())


@pytest.fixture(scope="module")
def vectors() -> Floats:
    found = unit_vectors(PICTURES)
    unit: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def exact(vectors: Floats, k: int) -> list[list[str]]:
    distances = np.linalg.norm(vectors[:, None].astype(float) - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return [[picture_id(number) for number in row[:k]] for row in np.argsort(distances, axis=1)]


def test_the_index_says_what_recall_it_has(index: Index) -> None:
    manifest = index.manifest()
    recall = manifest["recall"]
    assert (manifest["search"], recall["k"], recall["target"]) == ("sketch", 5, 0.95)
    assert recall["measured"] > recall["lower_bound"] >= 0.95
    assert recall["queries"] == PICTURES
    assert manifest["refined_fraction"] == manifest["refined"] / PICTURES < 0.5
    assert 0 < manifest["bytes_read"] < 0.6
    assert 0 <= manifest["clipped"] < 0.01
    assert manifest["lsh"]["reduced_dimension"] in (32, 64, 96)


def test_what_it_says_is_true(index: Index, vectors: Floats) -> None:
    ids = [picture_id(number) for number in range(PICTURES)]
    manifest = index.manifest()
    with spark_session("test") as spark:
        rows = search_many(spark, index, vectors, ids, 5, manifest["refined"]).collect()
    assert [row["query"] for row in rows] == list(range(PICTURES))
    hits = 0
    for number, (row, true) in enumerate(zip(rows, exact(vectors, 5), strict=True)):
        found = [neighbour["id"] for neighbour in row["neighbours"]]
        distances = [neighbour["distance"] for neighbour in row["neighbours"]]
        assert len(found) == 5 and ids[number] not in found and distances == sorted(distances)
        hits += len(set(found) & set(true))
    assert hits / (5 * PICTURES) == pytest.approx(manifest["recall"]["measured"], abs=1e-9)


def test_exact_search_by_spark_is_exact(index: Index, vectors: Floats) -> None:
    ids: list[str | None] = [picture_id(number) for number in range(40)]
    ids[3] = None
    with spark_session("test") as spark:
        rows = search_many(spark, index, vectors[:40], ids, 5, None).collect()
    found = [[neighbour["id"] for neighbour in row["neighbours"]] for row in rows]
    expected = exact(vectors, 5)[:40]
    # A query that is not of the index finds its own copy there.
    expected[3] = [picture_id(3), *expected[3][:4]]
    assert found == expected


def test_the_packed_codes_are_the_models_own_hashes(index: Index, vectors: Floats) -> None:
    with spark_session("test") as spark:
        rows = {row["id"]: row for row in spark.read.parquet(str(index.pictures)).collect()}
    sketch = Sketch.load(index.sketch)
    seen = 0
    for name in parts(index.packed):
        part = Part.open(name)
        codes = sketch.unpack(part.codes)
        for id_, code, vector in zip(part.ids, codes, part.vectors, strict=True):
            row = rows[id_.decode()]
            hashes = np.array([int(entry[0]) for entry in row["hashes"]])
            np.testing.assert_array_equal(code, np.clip(hashes - sketch.zero, 0, 15))
            np.testing.assert_allclose(vector, vectors[int(id_, 16)], atol=1e-6)
            seen += 1
    assert seen == PICTURES


@pytest.mark.parametrize("method", ["sketch", "exact", "stock"])
def test_every_way_to_answer_gives_one_result_type(root: DataRoot, index: Index, method: str) -> None:
    told: dict[str, Any] = json.loads(
        (answer(root, method, query=picture_id(9), method=method) / "neighbours.json").read_text()
    )
    assert told["method"] in (method, "exact")
    assert 0 < told["overlap"] <= 1
    assert told["index"]["recall"]["lower_bound"] >= 0.95
    distances = [neighbour["distance"] for neighbour in told["neighbours"]]
    assert len(distances) == 5 and distances == sorted(distances)
    assert picture_id(9) not in {neighbour["id"] for neighbour in told["neighbours"]}
    assert {neighbour["label"] for neighbour in told["neighbours"]} == {"9"}


def test_below_its_target_an_index_is_not_published(root: DataRoot, index: Index, tmp_path: Path) -> None:
    copy = DataRoot(Path(shutil.copytree(root.root, tmp_path / "copy")))
    published = open_index(copy)
    for _ in range(2):  # built, and found built
        with pytest.raises(LookalikeError, match=r"below the target 0.95, and is not published"):
            build_index(copy, LshParams(refined=1))
    assert open_index(copy) == published


def test_a_calibration_is_made_once_for_equal_input(root: DataRoot) -> None:
    calibration = open_calibration(root)
    made = (calibration.folder / "choice.json").stat().st_mtime_ns
    assert calibrate_vectors(root) == calibration
    assert (calibration.folder / "choice.json").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("options", "sentence"), [({"target": 1.0}, "between 0 and 1"), ({"k": 0}, "k is 0")]
)
def test_senseless_targets_are_one_sentence(root: DataRoot, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LookalikeError, match=sentence):
        calibrate_vectors(root, **options)


def test_without_vectors_or_calibration_one_sentence_says_what_to_run(root: DataRoot, tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match="run the step vectors first"):
        calibrate_vectors(DataRoot(tmp_path))
    copy = DataRoot(tmp_path / "copy")
    shutil.copytree(root.root, copy.root, ignore=shutil.ignore_patterns("calibrations"))
    with pytest.raises(LookalikeError, match="run the step calibrate first"):
        build_index(copy, LshParams())
