"""What a person names is looked up in an index on disk, however many pictures there are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jobs.base.errors import LookalikeError
from jobs.intake.decode import BadPictureError
from jobs.intake.look import MAX_BYTES, content_id
from jobs.lsh.sketch import Floats
from jobs.search.lookup import Asked, look_up
from jobs.search.opened import OpenIndex
from jobs.store.gallery import Gallery, open_gallery
from jobs.store.root import DataRoot
from jobs.store.versions import Index
from tests.support.opened import scaled_vectors, write_gallery, write_index
from tests.support.synthetic import picture_id

PICTURES, DIMENSION = 30, 8
PATHS = [f"/pictures/{number % 2}/{number // 2:03d}.jpg" for number in range(PICTURES)]
"""Each file name twice."""
PATHS[3], PATHS[4] = "/pictures/~photo.jpg", "/pictures/Cafe\u0301.jpg"
PATHS[5], PATHS[6] = "/pictures/\u00e9/a.jpg", "/pictures/e\u0301/a.jpg"
PATHS[7], PATHS[8] = "/pictures/only here.jpg", "/elsewhere/Ünï 'quoted' %_.jpg"


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Index:
    index = Index(tmp_path_factory.mktemp("lookup") / ("0" * 16))
    write_gallery(index, PATHS)
    return index


@pytest.fixture(scope="module")
def opened(version: Index) -> OpenIndex:
    return write_index(version.packed, scaled_vectors(PICTURES, DIMENSION), 2)


@pytest.fixture
def gallery(version: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gallery]:
    def refuse(*_: object) -> None:
        raise AssertionError("all captions were read")

    monkeypatch.setattr(Index, "captions", refuse)
    with open_gallery(version) as opened:
        yield opened


def ask(opened: OpenIndex, gallery: Gallery, query: str, seed: int = 0) -> Asked:
    def refuse(content: bytes) -> Floats:
        raise AssertionError("a picture of the index was embedded")

    return look_up(opened, gallery, query, DataRoot.from_env(), seed=seed, embed=refuse)


@pytest.mark.parametrize(
    ("query", "number"),
    [
        (picture_id(11), 11),
        ("~photo.jpg", 3),
        ("Caf\u00e9.jpg", 4),
        ("/pictures/Caf\u00e9.jpg", 4),
        ("/pictures/\u00e9/a.jpg", 5),
        ("/pictures/e\u0301/a.jpg", 6),
        (PATHS[12], 12),
        ("only here.jpg", 7),
        ("Ünï 'quoted' %_.jpg", 8),
        (PATHS[8], 8),
    ],
)
def test_a_picture_is_found_by_id_path_and_file_name(
    opened: OpenIndex, gallery: Gallery, query: str, number: int
) -> None:
    asked = ask(opened, gallery, query)
    assert asked.caption == {
        "id": picture_id(number),
        "path": PATHS[number],
        "label": "1",
        "class_name": "Class 1",
    }
    np.testing.assert_array_equal(asked.vector, opened.vector(picture_id(number)))


def test_the_same_seed_draws_the_same_picture(opened: OpenIndex, gallery: Gallery) -> None:
    drawn = [ask(opened, gallery, "random", seed).caption["id"] for seed in range(40)]
    assert drawn == [ask(opened, gallery, "random", seed).caption["id"] for seed in range(40)]
    assert len(set(drawn)) > PICTURES / 2


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("f" * 32, "the index holds no picture with id"),
        ("009.jpg", "names several pictures of the index: give a path or an id"),
        ("/no/such.jpg", "is neither in the index nor a file that can be read"),
        ("%.jpg", "is neither in the index nor a file that can be read"),
        ("' OR 1=1 --", "is neither in the index nor a file that can be read"),
        (".", "is neither in the index nor a file that can be read"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    opened: OpenIndex, gallery: Gallery, query: str, sentence: str
) -> None:
    with pytest.raises(LookalikeError, match=sentence):
        ask(opened, gallery, query)


def test_a_file_of_the_same_bytes_is_the_picture_of_the_index(
    opened: OpenIndex, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "copy.jpg").write_bytes(b"as in the index")
    monkeypatch.setattr("jobs.search.lookup.content_id", lambda content: picture_id(5))
    assert ask(opened, gallery, str(tmp_path / "copy.jpg")).caption["id"] == picture_id(5)


def test_any_other_file_is_embedded_by_whoever_asks(
    opened: OpenIndex, gallery: Gallery, tmp_path: Path
) -> None:
    file = tmp_path / "new.jpg"
    file.write_bytes(b"new")
    embedding = np.full((1, DIMENSION), 3.0, np.float32)
    asked = look_up(opened, gallery, str(file), DataRoot(tmp_path), seed=0, embed=lambda content: embedding)
    assert asked.caption == {"id": None, "path": str(file), "label": None, "class_name": None}
    assert np.linalg.norm(asked.vector) == pytest.approx(1)
    assert content_id(b"new") != picture_id(0)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_embedding_without_a_direction_is_one_sentence(
    opened: OpenIndex, gallery: Gallery, tmp_path: Path, value: float
) -> None:
    (tmp_path / "new.jpg").write_bytes(b"new")
    useless = np.full((1, DIMENSION), value, np.float32)
    with pytest.raises(LookalikeError, match="has an all-zero or non-finite embedding"):
        look_up(
            opened,
            gallery,
            str(tmp_path / "new.jpg"),
            DataRoot(tmp_path),
            seed=0,
            embed=lambda content: useless,
        )


def test_a_file_that_is_no_picture_is_one_sentence(
    opened: OpenIndex, gallery: Gallery, tmp_path: Path
) -> None:
    def refuse(content: bytes) -> Floats:
        raise BadPictureError("not a picture of a known format")

    (tmp_path / "new.jpg").write_bytes(b"new")
    with pytest.raises(LookalikeError, match="can't be used as a query: not a picture of a known format"):
        look_up(opened, gallery, str(tmp_path / "new.jpg"), DataRoot(tmp_path), seed=0, embed=refuse)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("a\0.jpg", "is not a path that can be used"),
        ("x" * 300, r"neither in the index nor a file that can be read \(File name too long\)"),
        ("/dev/zero", "can't be used as a query: not a regular file"),
        ("{folder}/pipe", "can't be used as a query: not a regular file"),
        ("{folder}", r"nor a file that can be read \(Is a directory\)"),
        ("{folder}/large.jpg", "can't be used as a query: larger than 200 MB"),
    ],
)
@pytest.mark.timeout(20)
def test_what_has_no_end_or_is_no_file_is_not_read(
    opened: OpenIndex, gallery: Gallery, tmp_path: Path, query: str, sentence: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(LookalikeError, match=sentence):
        ask(opened, gallery, query.format(folder=tmp_path))


def test_a_file_with_the_other_form_of_accents_is_found(
    opened: OpenIndex, gallery: Gallery, tmp_path: Path
) -> None:
    (tmp_path / "Cafe\u0301 racer.jpg").write_bytes(b"mine")
    asked = look_up(
        opened,
        gallery,
        f"{tmp_path}/Caf\u00e9 racer.jpg",
        DataRoot(tmp_path),
        seed=0,
        embed=lambda _: np.ones((1, DIMENSION), "f4"),
    )
    assert asked.caption["path"] == f"{tmp_path}/Cafe\u0301 racer.jpg"
