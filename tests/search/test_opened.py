"""An index is opened once, without Spark, and gives the same answers in any dimension and number of parts."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jobs.base.errors import LookalikeError
from jobs.search.opened import OpenIndex, candidates_per_part
from jobs.store.packed import Part, open_parts
from jobs.store.root import PROJECT
from tests.support.opened import scaled_vectors, write_index
from tests.support.synthetic import picture_id

PICTURES, K = 300, 5


@pytest.fixture(
    scope="module",
    params=[(8, 1), (40, 3), (512, 1), (512, 4), (2048, 2)],
    ids=lambda shape: f"{shape[0]} values, {shape[1]} parts",
)
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OpenIndex:
    dimension, parts = request.param
    folder = tmp_path_factory.mktemp("opened") / "packed"
    return write_index(folder, scaled_vectors(PICTURES, dimension), parts)


def vectors_of(index: OpenIndex) -> np.ndarray:
    return np.concatenate([part.vectors for part in index.parts])


def true_neighbours(index: OpenIndex, query: int, k: int) -> list[str]:
    vectors = vectors_of(index).astype(float)
    distances = np.linalg.norm(vectors - vectors[query], axis=1)
    distances[query] = np.inf
    return [picture_id(row) for row in np.argsort(distances, kind="stable")[:k]]


def test_exact_search_finds_the_true_neighbours_in_order(index: OpenIndex) -> None:
    queries = list(range(0, PICTURES, 37))
    own = [picture_id(number) for number in queries]
    ids, distances = index.search(vectors_of(index)[queries], own, K, exact=True)
    for place, number in enumerate(queries):
        assert ids[place].astype(str).tolist() == true_neighbours(index, number, K)
    assert (np.diff(distances, axis=1) >= 0).all() and distances.dtype == np.float32


def test_a_quarter_re_ranked_finds_nearly_all_of_them(index: OpenIndex) -> None:
    queries = list(range(PICTURES))
    own = [picture_id(number) for number in queries]
    vectors = vectors_of(index)
    exact, _ = index.search(vectors, own, K, exact=True)
    found, _ = index.search(vectors, own, K)
    shared = np.mean([len(set(one) & set(other)) / K for one, other in zip(exact, found, strict=True)])
    assert shared > 0.95


def test_several_threads_ask_one_opened_index(index: OpenIndex) -> None:
    vectors, own = vectors_of(index), [picture_id(number) for number in range(PICTURES)]

    def ask(number: int) -> tuple[list[bytes], list[float]]:
        ids, distances = index.search(vectors[number : number + 1], own[number : number + 1], K)
        return ids[0].tolist(), distances[0].tolist()

    one_by_one = [ask(number) for number in range(40)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(40))) == one_by_one


def test_no_file_is_opened_after_the_first(index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a search opened a file")

    monkeypatch.setattr("numpy.load", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert len(index.search(vectors_of(index)[:1], [None], K)[0][0]) == K


def test_more_neighbours_than_pictures_are_nothing_at_no_distance(index: OpenIndex) -> None:
    ids, distances = index.search(vectors_of(index)[:1], [picture_id(0)], PICTURES + 3, exact=True)
    assert (ids[0] != b"").sum() == np.isfinite(distances[0]).sum() == PICTURES - 1


def test_a_vector_is_found_by_its_id(index: OpenIndex) -> None:
    for number in (0, PICTURES // 2, PICTURES - 1):
        found = index.vector(picture_id(number))
        assert found is not None
        np.testing.assert_array_equal(found[0], vectors_of(index)[number])
    assert index.vector("f" * 32) is None and index.vector("0") is None
    assert len(index) == PICTURES


def test_without_hashes_every_way_is_exact(tmp_path: Path) -> None:
    index = write_index(tmp_path / "packed", scaled_vectors(20, 8), 2, hashed=False)
    assert index.way(K).sketch is None
    ids, _ = index.search(vectors_of(index)[:1], [picture_id(0)], K)
    assert ids[0].astype(str).tolist() == true_neighbours(index, 0, K)


def test_candidates_grow_with_k_and_parts_get_their_share_and_a_deviation() -> None:
    assert candidates_per_part(100, 1) == 100
    assert candidates_per_part(100, 4) == 30  # 25 and its square root
    assert candidates_per_part(1, 4) == 1
    part = Part(*(np.zeros((1, 1)) for _ in range(5)))  # type: ignore[arg-type]
    index = OpenIndex(Path("/none"), (part,), object(), 10, 5)  # type: ignore[arg-type]
    assert [index.way(k).candidates for k in (1, 5, 6, 50)] == [10, 10, 12, 100]


def test_a_lost_list_of_parts_is_one_sentence(tmp_path: Path) -> None:
    index = write_index(tmp_path / "packed", scaled_vectors(20, 8), 2)
    (index.packed / "packed.json").unlink()
    with pytest.raises(LookalikeError, match=r"packed.json is missing: delete index version .*"):
        open_parts(index.packed)


def test_neither_pyspark_nor_pytorch_is_loaded() -> None:
    code = """
import json, sys
import jobs.search.opened, jobs.search.lookup, jobs.search.near_duplicates, jobs.search.frontier
import jobs.store.gallery, jobs.gallery, jobs.report, jobs.publish, jobs.montage
loaded = {name.split(".")[0] for name in sys.modules}
print(json.dumps(sorted(loaded & {"torch", "pyspark", "py4j", "openvino"})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, check=True)
    assert json.loads(done.stdout) == []
