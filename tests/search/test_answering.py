"""One opened version answers questions: of all pictures or of one class, by hashes or exactly."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from jobs.base.errors import NotFoundError
from jobs.search.answering import NO_HASHES, OpenVersion
from jobs.search.lookup import outsider
from jobs.store.answers import read_answer
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from tests.golden.make import CURRENT, RUN
from tests.support.opened import scaled_vectors, write_index
from tests.support.synthetic import picture_id

PICTURES, DIMENSION = 400, 32


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_search_among_some_rows_finds_the_nearest_of_them(tmp_path: Path, parts: int, exact: bool) -> None:
    vectors = scaled_vectors(PICTURES, DIMENSION)
    opened = write_index(tmp_path / "packed", vectors, parts)
    among = np.sort(np.random.default_rng(3).choice(PICTURES, 120, replace=False))
    own = int(among[7])
    ids, distances = opened.search(vectors[own : own + 1], [picture_id(own)], 5, exact=exact, among=among)
    lengths = np.linalg.norm(vectors[among] - vectors[own], axis=1)
    nearest = among[np.argsort(lengths, kind="stable")]
    assert ids[0].astype(str).tolist() == [picture_id(row) for row in nearest if row != own][:5]
    np.testing.assert_allclose(distances[0], np.sort(lengths)[1:6], atol=1e-6)


def test_rows_of_one_part_alone_and_no_rows_at_all(tmp_path: Path) -> None:
    vectors = scaled_vectors(PICTURES, DIMENSION)
    opened = write_index(tmp_path / "packed", vectors, 3)
    ids, _ = opened.search(vectors[:1], [None], 5, among=np.arange(3))
    assert sorted(ids[0].astype(str)) == ["", "", *map(picture_id, range(3))]
    for exact in (True, False):
        ids, distances = opened.search(vectors[:1], [None], 5, exact=exact, among=np.arange(0))
        assert set(ids[0]) == {b""} and np.isinf(distances).all()


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(Path(shutil.copytree(CURRENT, tmp_path / "data")))


def test_the_answer_is_the_dags(root: DataRoot) -> None:
    recorded = read_answer(root.query_folder(RUN))
    version = OpenVersion(open_index(root))
    asked = version.known(str(recorded["query"]["id"]))
    assert asked is not None
    found = version.find(asked, recorded["k"], "sketch")
    assert version.recorded(found) == {**recorded, "overlap": None}
    assert (found["version"], found["recall"]) == (version.index.version, version.manifest["recall"])
    assert found["milliseconds"].keys() == {"search", "captions"}


@pytest.mark.parametrize("method", ["sketch", "exact"])
def test_of_one_class_only_its_pictures_are_found(root: DataRoot, method: str) -> None:
    version = OpenVersion(open_index(root))
    (name, pictures), *_ = version.classes.items()
    asked = outsider("photo.jpg", np.ones((1, 8), np.float32))
    found = version.find(asked, 100, method, name)
    assert {neighbour["class_name"] for neighbour in found["neighbours"]} == {name}
    assert len(found["neighbours"]) == pictures < 100
    assert found["note"] == f"Class {name!r} holds {pictures} other pictures, fewer than the 100 requested."
    few = version.find(asked, 3, method, name)
    assert few["note"] is None and [near["rank"] for near in few["neighbours"]] == [1, 2, 3]
    if method == "exact":
        assert few["neighbours"] == found["neighbours"][:3]


def test_a_class_or_a_picture_that_is_not_there(root: DataRoot) -> None:
    version = OpenVersion(open_index(root))
    assert version.known("0" * 32) is None
    with pytest.raises(NotFoundError, match=r"^the index holds no class 'Zeppelin': choose another\.$"):
        version.find(outsider("photo.jpg", np.ones((1, 8), np.float32)), 5, "sketch", "Zeppelin")


def test_a_version_answers_after_it_was_removed_but_for_captions(root: DataRoot) -> None:
    index = open_index(root)
    version = OpenVersion(index)
    asked = outsider("photo.jpg", np.ones((1, 8), np.float32))
    before = version.find(asked, 5, "sketch")
    shutil.rmtree(index.folder)
    assert version.find(asked, 5, "sketch")["neighbours"] == before["neighbours"]


def test_without_hashes_the_search_is_exact_and_says_so(root: DataRoot) -> None:
    index = open_index(root)
    index.record({**index.manifest(), "search": "exact"})
    found = OpenVersion(index).find(outsider("photo.jpg", np.ones((1, 8), np.float32)), 5, "sketch")
    assert (found["method"], found["note"]) == ("exact", NO_HASHES)
