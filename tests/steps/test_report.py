"""From an index to the published one: every picture's neighbours, the report, the gate."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.base.errors import LookalikeError
from jobs.index import LshParams, build_index
from jobs.lsh.quality import class_measures, hubness
from jobs.neighbours import store_neighbours
from jobs.publish import publish
from jobs.report import write_report
from jobs.store.catalog import csv_of, read_catalog, write_catalog
from jobs.store.root import CURRENT, DataRoot
from jobs.store.settings import published_settings
from jobs.store.versions import BUILT, Index, open_index
from tests.support.shapes import Shape
from tests.support.synthetic import BESIDE, make_index, make_root, picture_id, show_index, unit_vectors

pytestmark = pytest.mark.usefixtures("spark")
PICTURES = 400


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shape: Shape) -> DataRoot:
    """A built index with neighbours and report; not yet published."""
    root, _ = make_root(tmp_path_factory.mktemp("report"), PICTURES, dimension=shape.dimension)
    doubles = [
        (picture_id(1), "/pictures/00001.jpg", "1", True),
        (picture_id(1), "/pictures/copy.jpg", "2", True),
    ]
    duplicates = csv_of(("id", "path", "label", "conflict"), doubles)
    write_catalog(read_catalog(root), root, {**BESIDE, "duplicates.csv": duplicates})
    make_index(root)
    (root.index / CURRENT).unlink()
    show_index(root)
    return root


@pytest.fixture
def index(made: DataRoot) -> Index:
    return open_index(made, BUILT)


@pytest.fixture
def root(made: DataRoot, tmp_path: Path) -> DataRoot:
    return DataRoot(Path(shutil.copytree(made.root, tmp_path / "data")))


@cache
def true_neighbours(k: int, dimension: int) -> np.ndarray:
    vectors = unit_vectors(PICTURES, dimension=dimension).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :k]


def told(index: Index) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(index.report_file.with_suffix(".json").read_text())
    return report


def test_every_pictures_neighbours_are_stored(index: Index, shape: Shape) -> None:
    rows = pq.read_table(index.neighbours).to_pylist()
    assert sorted(row["id"] for row in rows) == [picture_id(number) for number in range(PICTURES)]
    hits = 0
    for row in rows:
        number = int(row["id"], 16)
        distances = [neighbour["distance"] for neighbour in row["neighbours"]]
        assert len(distances) == 10 and distances == sorted(distances)
        found = {int(neighbour["id"], 16) for neighbour in row["neighbours"]}
        assert number not in found
        hits += len(found & set(true_neighbours(10, shape.dimension)[number].tolist()))
    assert hits / (10 * PICTURES) >= 0.93


def test_one_picture_is_read_without_reading_all(index: Index) -> None:
    [row] = pq.read_table(index.neighbours, filters=[("id", "=", picture_id(7))]).to_pylist()
    assert row["id"] == picture_id(7)


def test_made_neighbours_and_report_stay(made: DataRoot, index: Index) -> None:
    files = [*index.neighbours.glob("*.parquet"), index.report_file]
    before = [file.stat().st_ino for file in files]
    store_neighbours(made)
    write_report(made)
    assert [file.stat().st_ino for file in files] == before


def test_the_report_measures_what_is_there(index: Index, shape: Shape) -> None:
    report, manifest = told(index), index.manifest()
    assert report["recall"] == manifest["recall"]
    # Too few pictures for queries of the index's own: all of them calibrated it.
    assert report["recall"]["queries"] == PICTURES and report["recall"]["disjoint"] is False
    assert report["semantics"]["classes"] == 10
    assert report["collection"]["classes"] == 10 and report["collection"]["unlabelled"] == 0
    rows = pq.read_table(index.neighbours).to_pylist()
    true = true_neighbours(10, shape.dimension)
    hits = [
        len({int(near["id"], 16) for near in row["neighbours"]} & set(true[int(row["id"], 16)].tolist()))
        for row in rows
    ]
    assert report["stored"] == {"k": 10, "recall": pytest.approx(sum(hits) / (10 * PICTURES), abs=2e-3)}
    nearest = true_neighbours(5, shape.dimension)
    same = (nearest % 10 == np.arange(PICTURES)[:, None] % 10).mean()
    assert report["semantics"]["exact"]["precision_at_5"] == pytest.approx(same)
    assert report["semantics"]["index"]["precision_at_5"] >= 0.99 * same
    assert report["semantics"]["chance"] == pytest.approx(39 / 399)
    assert sum(report["hubness"]["occurrences"]) == PICTURES
    assert report["hubness"]["hubs"][0]["times"] == report["hubness"]["most"]
    assert report["same_bytes"] == {
        "groups": 1,
        "conflicting": 1,
        "shown": [
            {
                "paths": ["/pictures/00001.jpg", "/pictures/copy.jpg"],
                "labels": ["1", "2"],
                "conflict": True,
            }
        ],
    }
    distances = report["distances"]
    assert distances["median_neighbour"] < distances["median_random"]


def test_the_frontier_passes_through_the_chosen_point(index: Index) -> None:
    report, manifest = told(index), index.manifest()
    frontier = report["frontier"]
    for name in ("sketch", "stock"):
        compared, recall = (np.array([point[place] for point in frontier[name]]) for place in (0, 1))
        assert (np.diff(compared) >= 0).all() and (np.diff(recall) >= 0).all()
    shares, recalls = zip(*frontier["sketch"], strict=True)
    assert shares[-1] == recalls[-1] == 1.0
    there = np.interp(manifest["candidates_fraction"], shares, recalls)
    assert there == pytest.approx(manifest["recall"]["measured"], abs=0.03)


def test_the_page_is_there_with_pictures_and_figures(index: Index) -> None:
    page = index.report_file.read_text()
    assert page.count("data:image/jpeg;base64,") >= 6
    hub = told(index)["hubness"]["hubs"][0]
    assert index.version in page and f"named {hub['times']} times" in page and hub["class_name"] in page


def test_near_duplicates_with_conflicting_labels_come_first(tmp_path: Path) -> None:
    vectors = unit_vectors(60)
    vectors[31] = vectors[21] * 1.001 + 0.01 * vectors[3]
    vectors[44] = vectors[13] + 0.02 * vectors[3]
    root, _ = make_root(tmp_path, 60, vectors=vectors)
    make_index(root)
    store_neighbours(root)
    write_report(root)
    found = told(open_index(root))["near_duplicates"]
    assert (found["pairs"], found["conflicting"]) == (2, 1)
    pairs = [(pair["first"]["id"], pair["second"]["id"], pair["conflict"]) for pair in found["shown"]]
    assert pairs == [(picture_id(13), picture_id(44), True), (picture_id(21), picture_id(31), False)]


@pytest.mark.parametrize("pictures", [2, 8])
def test_the_smallest_indexes_have_a_report_too(tmp_path: Path, pictures: int) -> None:
    root, _ = make_root(tmp_path, pictures)
    make_index(root)
    show_index(root)
    report = told(open_index(root))
    assert report["frontier"] is None and report["search"] == "exact"
    assert report["hubness"]["k"] == min(10, pictures - 1)
    assert publish(root).version == report["version"]


def test_an_index_that_reaches_its_target_is_published(root: DataRoot) -> None:
    assert publish(root) == open_index(root, CURRENT) == open_index(root, BUILT)
    # By hand too, or it would count as never published.
    assert open_index(root).published() and not json.loads(open_index(root).published_file.read_text())["run"]


def test_the_publishing_run_and_its_params_are_kept(root: DataRoot) -> None:
    assert published_settings(root) is None
    index = publish(root, run="manual__1", settings={"params": {"source": "inbox"}, "splits": {"inbox": 3}})
    assert json.loads(index.published_file.read_text())["run"] == "manual__1"
    assert published_settings(root) == {"params": {"source": "inbox"}, "splits": {"inbox": 3}}
    publish(root, index.version)  # put back by hand
    assert published_settings(root) == {"params": {"source": "inbox"}, "splits": {"inbox": 3}}


def test_below_its_target_an_index_has_its_report_but_is_not_published(root: DataRoot) -> None:
    published = publish(root)
    poor = build_index(root, LshParams(candidates=1, num_hash_tables=2))
    show_index(root)
    assert told(poor)["recall"]["lower_bound"] < 0.95
    with pytest.raises(LookalikeError, match=r"below the target 0.95, and is not published"):
        publish(root)
    assert open_index(root) == published != open_index(root, BUILT)


@pytest.mark.parametrize("step", ["neighbours", "gallery", "report"])
def test_a_version_without_gallery_or_report_is_not_published(root: DataRoot, step: str) -> None:
    index = open_index(root, BUILT)
    if step == "neighbours":
        shutil.rmtree(index.neighbours)
    else:
        (index.gallery_file if step == "gallery" else index.report_file).unlink()
    with pytest.raises(LookalikeError, match=f"run the step {step} first"):
        publish(root)
    assert not (root.index / CURRENT).exists()


def test_without_neighbours_there_is_no_report(root: DataRoot) -> None:
    index = open_index(root, BUILT)
    shutil.rmtree(index.neighbours)
    index.report_file.unlink()
    with pytest.raises(LookalikeError, match="run the step neighbours first"):
        write_report(root)


def test_a_flipped_bit_is_not_published(root: DataRoot) -> None:
    file = open_index(root, BUILT).packed / "part-00000.vectors.npy"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    with pytest.raises(LookalikeError, match=r"vectors.npy is corrupt"):
        publish(root)
    assert not (root.index / CURRENT).exists()


def test_a_missing_index_has_no_report(tmp_path: Path) -> None:
    for make in (write_report, store_neighbours, publish):
        with pytest.raises(LookalikeError, match="no index is built in"):
            make(DataRoot(tmp_path))
        with pytest.raises(LookalikeError, match="is not a complete index"):
            make(DataRoot(tmp_path), "0" * 16)


@pytest.mark.parametrize("k", [0, 101])
def test_too_few_or_too_many_to_store_is_one_sentence(root: DataRoot, k: int) -> None:
    with pytest.raises(LookalikeError, match=f"k is {k}: store 1 to 100"):
        store_neighbours(root, k=k)


def test_class_measures_by_hand() -> None:
    found = np.array([[1, 1, 2, 1], [2, 1, 2, -1]])
    measures = class_measures(found, np.array([1, 2]), np.array([3, 2]))
    assert measures.precision_at_1 == 1.0
    assert measures.precision_at_5 == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert measures.r_precision == pytest.approx((2 / 3 + 1 / 2) / 2)
    # (1/1 + 2/2 + 0) / 3 and (1/1 + 0) / 2
    assert measures.map_at_r == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_hubness_by_hand() -> None:
    found = hubness(np.array([0, 0, 1, 3, 40]), longest=5)
    assert (found["most"], found["never"]) == (40, 0.4)
    assert found["occurrences"] == [2, 1, 0, 1, 0, 1]
    assert found["skewness"] > 1
    assert hubness(np.array([2, 2, 2]))["skewness"] == 0.0
