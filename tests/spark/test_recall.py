"""Calibration, gate and the sketch search over a real index, by Spark, against exact search by NumPy."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml.feature import BucketedRandomProjectionLSHModel, PCAModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from jobs.base.errors import LookalikeError
from jobs.calibrate import calibrate_vectors
from jobs.index import LshParams, build_index
from jobs.lsh.choice import recall_lower_bound
from jobs.lsh.sketch import Floats
from jobs.lsh.splits import FEWEST, GATE, queries_of
from jobs.query import answer
from jobs.search.opened import candidates_per_part, open_for_search
from jobs.spark import parts
from jobs.spark import recall as gate
from jobs.spark.parts import unpack
from jobs.spark.search import search_by_spark
from jobs.spark.session import spark_session
from jobs.store.answers import read_answer
from jobs.store.calibrations import open_calibration
from jobs.store.embeddings import EmbeddingStore
from jobs.store.manifest import Recall
from jobs.store.packed import load_sketch, open_parts
from jobs.store.root import DataRoot
from jobs.store.versions import Index, open_index
from tests.support.shapes import Shape
from tests.support.synthetic import FINGERPRINT, make_root, make_searchable, picture_id, unit_vectors

pytestmark = pytest.mark.usefixtures("spark")
PICTURES = 3 * FEWEST + 40
"""Enough to split the queries into three sets."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, shape: Shape) -> DataRoot:
    root, _ = make_root(tmp_path_factory.mktemp("recall"), PICTURES, dimension=shape.dimension)
    make_searchable(root)
    return root


@pytest.fixture(scope="module")
def index(root: DataRoot) -> Index:
    return open_index(root)


@pytest.fixture(scope="module")
def vectors(shape: Shape) -> Floats:
    found = unit_vectors(PICTURES, dimension=shape.dimension)
    unit: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def exact(vectors: Floats, k: int) -> list[list[str]]:
    likeness = vectors.astype(float) @ vectors.T.astype(float)
    np.fill_diagonal(likeness, -np.inf)
    return [[picture_id(number) for number in row[:k]] for row in np.argsort(-likeness, axis=1)]


def asked_by_the_gate(seed: int = 42) -> list[int]:
    """The numbers of the pictures that neither choose nor confirm."""
    ids = np.array([picture_id(number) for number in range(PICTURES)], "S32")
    return sorted(queries_of(ids, GATE, seed).tolist())


def test_the_index_says_what_recall_it_has(index: Index) -> None:
    manifest = index.manifest()
    recall = manifest["recall"]
    assert (manifest["search"], recall["k"], recall["target"]) == ("sketch", 5, 0.95)
    assert recall["measured"] >= recall["lower_bound"] >= 0.95
    assert recall["queries"] == len(asked_by_the_gate()) < PICTURES / 2
    assert recall["disjoint"] is True and recall["tries"] >= 1
    assert manifest["candidates"] / PICTURES <= manifest["candidates_fraction"] < 0.5
    assert manifest["candidates_fraction"] < manifest["bytes_read"] < 1
    assert 0 <= manifest["clipped"] < 0.01
    assert manifest["lsh"]["reduced_dimension"] in (32, 64, 96)


def test_its_recall_is_what_pictures_find_that_neither_chose_nor_confirmed(
    index: Index, vectors: Floats
) -> None:
    ids = [picture_id(number) for number in range(PICTURES)]
    opened = open_for_search(index)
    with spark_session("test") as spark:
        found, distances = search_by_spark(spark, opened, vectors, ids, 5)
    hits = np.zeros(PICTURES)
    for number, true in enumerate(exact(vectors, 5)):
        names = found[number].astype(str).tolist()
        assert ids[number] not in names
        assert distances[number].tolist() == sorted(distances[number])
        hits[number] = len(set(names) & set(true))
    asked = asked_by_the_gate()
    measured = index.manifest()["recall"]["measured"]
    assert hits[asked].mean() / 5 == pytest.approx(measured, abs=1e-9)
    others = np.setdiff1d(np.arange(PICTURES), asked)
    # Parts re-rank so many in all that several of them may find everything.
    assert measured == 1 or hits[others].mean() / 5 != pytest.approx(measured, abs=1e-4)
    here = opened.search(vectors, ids, 5)
    np.testing.assert_array_equal(here[0], found)
    np.testing.assert_array_equal(here[1], distances)


def test_how_recall_is_spread_adds_up(index: Index) -> None:
    recall = index.manifest()["recall"]
    spread = recall["distribution"]
    assert len(spread) == 6 and sum(spread) == recall["queries"]
    mean = sum(found * queries for found, queries in enumerate(spread)) / (5 * recall["queries"])
    assert mean == pytest.approx(recall["measured"])


def measured(index: Index, *, candidates: int, **options: Any) -> tuple[int, Recall]:
    usual: dict[str, Any] = {"target": 0.95, "fixed": False, "seed": 42, "disjoint": True}
    opened = replace(open_for_search(index), candidates=candidates)
    with spark_session("test") as spark:
        return gate.measure_recall(spark, opened, **{**usual, **options})


def bound_of(recall: Recall, alpha: float) -> float:
    shares = np.repeat(np.arange(6) / 5, recall["distribution"])
    return recall_lower_bound(shares, alpha)


def test_where_every_try_misses_the_candidates_are_those_measured_last(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "TRIES", 3)
    candidates, recall = measured(index, candidates=4, target=0.9999)
    assert (candidates, recall["tries"]) == (6, 3)
    assert recall["lower_bound"] < 0.9999
    again, fixed = measured(index, candidates=candidates, target=0.9999, fixed=True)
    assert (again, fixed["tries"]) == (candidates, 1)
    assert {**recall, "tries": 0, "lower_bound": 0} == {**fixed, "tries": 0, "lower_bound": 0}


def test_every_try_spends_a_part_of_what_may_err(index: Index) -> None:
    _, first = measured(index, candidates=6, target=0.2)
    assert first["tries"] == 1 and first["lower_bound"] == pytest.approx(bound_of(first, 0.025))
    # Tried again where the target lies between the two bounds: below one of a single try.
    target = (bound_of(first, 0.05) + bound_of(first, 0.025)) / 2
    candidates, second = measured(index, candidates=6, target=target)
    # One more of 6 may be no more per part: then it takes more tries.
    assert candidates > 6 and second["tries"] > 1
    assert second["lower_bound"] == pytest.approx(bound_of(second, 0.05 / 2 ** second["tries"]))
    _, fixed = measured(index, candidates=6, target=target, fixed=True)
    assert fixed["lower_bound"] == pytest.approx(bound_of(fixed, 0.05))
    assert fixed["lower_bound"] >= target


def test_what_is_measured_on_queries_that_calibrated_is_recorded(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert measured(index, candidates=20, fixed=True, disjoint=False)[1]["disjoint"] is False
    assert "measured on some that calibrated it" in caplog.text


def test_several_parts_find_what_one_finds(
    root: DataRoot,
    index: Index,
    vectors: Floats,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shape: Shape,
) -> None:
    monkeypatch.setattr(parts, "ROWS", 70)
    copy = DataRoot(Path(shutil.copytree(root.root, tmp_path / "copy")))
    several = build_index(copy, LshParams(candidates=index.manifest()["candidates"]))
    opened = open_for_search(several)
    assert len(opened.parts) > 6 and len(opened) == PICTURES
    manifest, other = several.manifest(), index.manifest()
    assert manifest["candidates"] == other["candidates"]
    # A part re-ranks more than its share, so that it rarely misses one of the best of all.
    each = candidates_per_part(manifest["candidates"], len(opened.parts))
    assert manifest["candidates_fraction"] == pytest.approx(each * len(opened.parts) / PICTURES)
    assert each > manifest["candidates"] / len(opened.parts) + 1
    assert manifest["recall"]["measured"] >= other["recall"]["measured"] - 0.003
    ids = [picture_id(number) for number in range(PICTURES)]
    with spark_session("test") as spark:
        for exactly in (True, False):
            found, distances = search_by_spark(spark, opened, vectors[:200], ids[:200], 5, exact=exactly)
            here = opened.search(vectors[:200], ids[:200], 5, exact=exactly)
            np.testing.assert_array_equal(here[0], found)
            np.testing.assert_array_equal(here[1], distances)
    found, _ = opened.search(vectors, ids, 5, exact=True)
    assert found.astype(str).tolist() == exact(vectors, 5)


def test_exact_search_by_spark_is_exact(index: Index, vectors: Floats) -> None:
    ids: list[str | None] = [picture_id(number) for number in range(40)]
    ids[3] = None
    with spark_session("test") as spark:
        found, _ = search_by_spark(spark, open_for_search(index), vectors[:40], ids, 5, exact=True)
    expected = exact(vectors, 5)[:40]
    # A query that is not of the index finds its own copy there.
    expected[3] = [picture_id(3), *expected[3][:4]]
    assert found.astype(str).tolist() == expected


def test_more_neighbours_than_pictures_are_all_and_then_nothing(index: Index, vectors: Floats) -> None:
    opened, asked = open_for_search(index), (vectors[:2], [picture_id(0), None], PICTURES + 5)
    with spark_session("test") as spark:
        for found, distances in (
            opened.search(*asked, exact=True),
            search_by_spark(spark, opened, *asked, exact=True),
        ):
            assert found.shape == distances.shape == (2, PICTURES + 5)
            assert (found[0] == b"").sum() == 6 and (found[1] == b"").sum() == 5
            assert np.isinf(distances[0, -6:]).all() and np.isfinite(distances[0, :-6]).all()


def test_the_packed_codes_are_the_models_own_hashes(index: Index, vectors: Floats) -> None:
    with spark_session("test") as spark:
        model = BucketedRandomProjectionLSHModel.load(str(index.lsh_model))
        whole = unpack(spark, index.packed).select("id", array_to_vector(F.col("vector")).alias("vector"))
        hashed = model.transform(PCAModel.load(str(index.reduction)).transform(whole))
        rows = {row["id"]: row for row in hashed.collect()}
    sketch = load_sketch(index.sketch)
    seen = differing = 0
    for part in open_parts(index.packed):
        assert part.ids.tolist() == sorted(part.ids.tolist())
        np.testing.assert_allclose(part.norms, sketch.norms(part.codes), rtol=1e-5)
        for id_, code, clipped, vector in zip(
            part.ids, sketch.unpack(part.codes), part.clipped, part.vectors, strict=True
        ):
            hashes = np.array([int(entry[0]) for entry in rows[id_.decode()]["hashes"]]) - sketch.zero
            # Packed vectors are float32: one in thousands falls on the other side of a plane.
            differing += int((code != np.clip(hashes, 0, 15)).sum())
            assert abs(int(clipped) - ((hashes < 0) | (hashes > 15)).sum()) <= 1
            np.testing.assert_allclose(vector, vectors[int(id_, 16)], atol=1e-6)
            seen += 1
    assert seen == PICTURES
    assert differing < 1e-3 * seen * len(sketch.zero)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("method", ["sketch", "exact", "stock"])
def test_every_way_to_answer_gives_one_shape_of_answer(root: DataRoot, method: str, overlap: bool) -> None:
    folder = answer(root, method, query=picture_id(9), method=method, overlap=overlap)
    answered = read_answer(folder)
    assert (answered["method"], answered["note"]) == (method, None)
    # What exact search finds is known where it answered, and computed where that was asked for.
    if method == "exact":
        assert answered["overlap"] == 1.0
    else:
        assert answered["overlap"] is not None if overlap else answered["overlap"] is None
    distances = [neighbour["distance"] for neighbour in answered["neighbours"]]
    assert len(distances) == 5 and distances == sorted(distances)
    assert picture_id(9) not in {neighbour["id"] for neighbour in answered["neighbours"]}
    assert {neighbour["label"] for neighbour in answered["neighbours"]} == {"9"}


def test_explicit_params_overrule_the_calibration(root: DataRoot, tmp_path: Path) -> None:
    copy = DataRoot(Path(shutil.copytree(root.root, tmp_path / "copy")))
    manifest = build_index(copy, LshParams(bucket_length=0.06, num_hash_tables=70)).manifest()
    assert (manifest["lsh"]["bucket_length"], manifest["lsh"]["num_hash_tables"]) == (0.06, 70)
    assert manifest["hashes_kept_of"] is None
    # More candidates make up for coarser hashes; nothing was predicted for these.
    assert manifest["recall"]["lower_bound"] >= 0.95
    assert manifest["recall"]["predicted"] is None
    chosen = open_index(copy).manifest()
    assert manifest["candidates"] >= chosen["candidates"]
    assert manifest["lsh"]["reduced_dimension"] == chosen["lsh"]["reduced_dimension"]


def test_two_of_the_same_vector_are_found_in_the_order_of_their_ids(tmp_path: Path) -> None:
    copy, vectors = make_root(tmp_path, 240)
    store = EmbeddingStore(copy.embeddings / FINGERPRINT)
    for shard in store.shards():
        shard.unlink()
    vectors[[5, 11, 23]] = vectors[7]
    store.write([picture_id(number) for number in range(240)], vectors)
    make_searchable(copy)
    for method in ("exact", "sketch", "stock"):
        neighbours = read_answer(answer(copy, method, query=picture_id(7), k=3))["neighbours"]
        found = [(neighbour["id"], neighbour["distance"]) for neighbour in neighbours]
        assert found == [(picture_id(5), 0.0), (picture_id(11), 0.0), (picture_id(23), 0.0)]


def test_a_calibration_is_made_once_for_equal_input(root: DataRoot) -> None:
    calibration = open_calibration(root)
    made = (calibration.folder / "choice.json").stat().st_mtime_ns
    assert calibrate_vectors(root) == calibration
    assert (calibration.folder / "choice.json").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"recall": 1.0}, "recall is 1.0: give a number"), ({"recall_at": 0}, "recall_at is 0: give 1 to 100")],
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
