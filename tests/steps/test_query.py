"""Answers of the saved LSH model, against exact search by NumPy."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.base.errors import LookalikeError
from jobs.embedding.embedder import ImageEmbedder
from jobs.index import LshParams
from jobs.query import answer
from jobs.store.answers import QUERY_PICTURE
from jobs.store.embeddings import Embedded
from jobs.store.root import DataRoot
from jobs.store.versions import open_index
from tests.support.converted import root_with_converted_weights
from tests.support.pictures import picture, write_picture
from tests.support.synthetic import FINGERPRINT, make_root, make_searchable, picture_id, unit_vectors
from tests.support.toy import WIDE_TOY, register_toy, toy_model

pytestmark = pytest.mark.usefixtures("spark")
PICTURES = 60
MODEL = toy_model(WIDE_TOY)
WIDE = LshParams(bucket_length=10.0, num_hash_tables=4)
"""Buckets so wide that every picture is a candidate: the answer must be the exact one."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    root, _ = make_root(tmp_path_factory.mktemp("query"), PICTURES)
    make_searchable(root, WIDE)
    recorded_as_made_by(root, {**MODEL.description, "fingerprint": FINGERPRINT})
    return root


def recorded_as_made_by(root: DataRoot, model: Embedded) -> None:
    """Let the manifest name a model; what is synthetic was made by none."""
    index = open_index(root)
    index.record({**index.manifest(), "model": {**model, "runtimes": []}})


@pytest.fixture
def embedded(root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataRoot:
    """Made, by its manifest, by the model whose weights are at hand."""
    register_toy(monkeypatch, WIDE_TOY)
    copy = root_with_converted_weights(tmp_path / "data", MODEL)
    shutil.copytree(root.root, copy.root, dirs_exist_ok=True)
    recorded_as_made_by(copy, MODEL.description)
    return copy


def ask(root: DataRoot, **options: Any) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads((answer(root, "test", **options) / "neighbours.json").read_text())
    return reply


def exact(query: int, k: int) -> list[tuple[str, float]]:
    vectors = unit_vectors(PICTURES).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.linalg.norm(vectors - vectors[query], axis=1)
    distances[query] = np.inf
    return [(picture_id(number), float(distances[number])) for number in np.argsort(distances)[:k]]


def test_a_picture_named_by_id_gets_its_nearest_neighbours_without_itself(root: DataRoot) -> None:
    reply = ask(root, query=picture_id(7), k=5, method="stock")
    assert reply["query"] == {
        "id": picture_id(7),
        "path": "/pictures/00007.jpg",
        "label": "7",
        "class_name": "Class 7",
    }
    assert (reply["method"], reply["note"], reply["k"]) == ("stock", None, 5)
    found = [(neighbour["id"], neighbour["distance"]) for neighbour in reply["neighbours"]]
    expected = exact(7, 5)
    assert [id_ for id_, _ in found] == [id_ for id_, _ in expected]
    np.testing.assert_allclose([d for _, d in found], [d for _, d in expected], rtol=1e-6)
    assert [neighbour["rank"] for neighbour in reply["neighbours"]] == [1, 2, 3, 4, 5]
    assert {neighbour["label"] for neighbour in reply["neighbours"]} == {"7"}


def test_a_picture_is_found_by_path_and_by_file_name(root: DataRoot) -> None:
    assert ask(root, query="/pictures/00003.jpg")["query"]["id"] == picture_id(3)
    assert ask(root, query="00004.jpg")["query"]["id"] == picture_id(4)


def test_the_random_picture_is_the_seeds(root: DataRoot) -> None:
    first, again, other = (ask(root, seed=seed)["query"]["id"] for seed in (1, 1, 2))
    assert first == again != other


def test_a_k_above_the_number_of_pictures_is_noted(root: DataRoot) -> None:
    reply = ask(root, query=picture_id(0), k=PICTURES)
    assert len(reply["neighbours"]) == PICTURES - 1
    assert (
        reply["note"]
        == f"The index holds {PICTURES - 1} other pictures, fewer than the {PICTURES} requested."
    )


def test_too_few_candidates_fall_back_to_exact_search_and_say_so(root: DataRoot, tmp_path: Path) -> None:
    narrow = DataRoot(Path(shutil.copytree(root.root, tmp_path / "narrow")))
    make_searchable(narrow, LshParams(bucket_length=1e-6, num_hash_tables=1))
    reply = ask(narrow, query=picture_id(7), method="stock")
    assert reply["method"] == "exact"
    assert re.fullmatch(r"The hash tables held \d of 5 neighbours, so exact search answered.", reply["note"])
    assert [neighbour["id"] for neighbour in reply["neighbours"]] == [id_ for id_, _ in exact(7, 5)]


def test_too_few_pictures_to_hash_are_searched_exactly_with_a_note(root: DataRoot) -> None:
    reply = ask(root, query=picture_id(7))
    assert (reply["method"], reply["overlap"]) == ("exact", 1.0)
    assert reply["note"].startswith("The index has no hashes, because its pictures are few or all alike")
    assert [neighbour["id"] for neighbour in reply["neighbours"]] == [id_ for id_, _ in exact(7, 5)]


def test_an_earlier_version_still_answers(root: DataRoot, tmp_path: Path) -> None:
    copy = DataRoot(Path(shutil.copytree(root.root, tmp_path / "copy")))
    first = (copy.index / "current").read_text().strip()
    make_searchable(copy, LshParams(bucket_length=9.0))
    assert ask(copy, query=picture_id(7), version=first)["index"]["version"] == first
    assert ask(copy, query=picture_id(7))["index"]["version"] != first


def test_a_picture_of_other_weights_is_refused(
    root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_toy(monkeypatch, WIDE_TOY)
    Image.new("RGB", (300, 200), "red").save(tmp_path / "new.jpg")
    with pytest.raises(LookalikeError, match="are not those that made the index"):
        ask(root, query=str(tmp_path / "new.jpg"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"k": 0}, "k is 0: give 1 to 100"),
        ({"k": 101}, "k is 101"),
        ({"method": "best"}, "method is 'best': choose one of sketch, exact, stock"),
        ({"query": "f" * 32}, "holds no picture with id"),
        ({"query": "/no/such.jpg"}, "neither in the index nor a file"),
        ({"version": "../escape"}, "is not an index version"),
        ({"version": "0" * 16}, "is not a complete index"),
    ],
)
def test_invalid_queries_are_one_sentence(root: DataRoot, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LookalikeError, match=sentence):
        ask(root, **options)


def test_a_picture_from_outside_is_embedded_by_the_model_of_the_index(
    embedded: DataRoot, tmp_path: Path
) -> None:
    write_picture(tmp_path / "new.png", seed=1, size=(300, 200))
    reply = ask(embedded, query=str(tmp_path / "new.png"), k=PICTURES)
    assert reply["query"]["id"] is None
    vector = ImageEmbedder(MODEL)(picture(1, (300, 200))).astype(float)
    vectors = unit_vectors(PICTURES).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.sort(np.linalg.norm(vectors - vector / np.linalg.norm(vector), axis=1))
    np.testing.assert_allclose([each["distance"] for each in reply["neighbours"]], expected, rtol=1e-6)
    with Image.open(embedded.queries / "test" / QUERY_PICTURE) as copy:
        assert (copy.format, copy.size) == ("JPEG", (WIDE_TOY.side, WIDE_TOY.side))


def test_a_broken_picture_as_query_is_one_sentence(embedded: DataRoot, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(LookalikeError, match="can't be used as a query: not a picture of a known format"):
        ask(embedded, query=str(tmp_path / "broken.jpg"))
