"""The gallery that the pages read: every picture in every order, found without reading the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from jobs.base.errors import LookalikeError
from jobs.gallery import lay_out_gallery
from jobs.neighbours import STORED, store_neighbours
from jobs.search.near_duplicates import first_alike
from jobs.store.catalog import csv_of, read_catalog, write_catalog
from jobs.store.gallery import ALL, Gallery, open_gallery
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, Index, open_index
from tests.support.shapes import Shape
from tests.support.synthetic import BESIDE, make_index, make_root, picture_id, unit_vectors

PICTURES, CLASSES, PAGE = 150, 10, 60
COPIES = {120: 10, 130: 10}
"""Pictures that are nearly the same as an earlier one."""

SAME_BYTES = [
    (picture_id(7), "/pictures/00007.jpg", "7", True),
    (picture_id(7), "/pictures/copy.jpg", "6", True),
    (picture_id(7), "/pictures/a copy.jpg", "", True),
    (picture_id(999), "/pictures/gone.jpg", "", False),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, spark: object, shape: Shape) -> Index:
    vectors = unit_vectors(PICTURES, dimension=shape.dimension)
    for copy, first in COPIES.items():
        vectors[copy] = vectors[first] + 1e-3
    root, _ = make_root(tmp_path_factory.mktemp("gallery"), PICTURES, vectors=vectors)
    duplicates = csv_of(("id", "path", "label", "conflict"), SAME_BYTES)
    write_catalog(read_catalog(root), root, {**BESIDE, "duplicates.csv": duplicates})
    make_index(root)
    with pytest.raises(LookalikeError, match="run the step neighbours first"):
        lay_out_gallery(root)
    store_neighbours(root)
    lay_out_gallery(root)
    return open_index(root, BUILT)


@pytest.fixture
def gallery(index: Index) -> Iterator[Gallery]:
    with open_gallery(index) as opened:
        yield opened


def everything(gallery: Gallery, class_: int, folded: bool) -> list[str]:
    first = gallery.page(class_, folded, 1, PAGE)
    pages = [gallery.page(class_, folded, number, PAGE) for number in range(1, first.pages + 1)]
    assert all(len(page.pictures) == PAGE for page in pages[:-1])
    found = [picture["id"] for page in pages for picture in page.pictures]
    assert len(found) == first.total
    return found


def test_pages_hold_every_picture_once_in_the_order_of_class_and_path(gallery: Gallery) -> None:
    ids = sorted(map(picture_id, range(PICTURES)), key=lambda id_: (int(id_, 16) % CLASSES, id_))
    assert everything(gallery, ALL, False) == ids


def test_a_class_holds_its_own(gallery: Gallery) -> None:
    whole, *classes = gallery.classes()
    assert (whole["class"], whole["pictures"]) == (ALL, PICTURES)
    assert [told["name"] for told in classes] == [f"Class {number}" for number in range(CLASSES)]
    for number, told in enumerate(classes):
        own = [picture_id(one) for one in range(number, PICTURES, CLASSES)]
        assert everything(gallery, told["class"], False) == own
        assert told["pictures"] == len(own)


def test_near_duplicates_are_folded_under_the_first(gallery: Gallery) -> None:
    folded = everything(gallery, ALL, True)
    assert set(map(picture_id, range(PICTURES))) - set(folded) == set(map(picture_id, COPIES))
    (first,) = [row for row in gallery.page(1, True, 1, PAGE).pictures if row["id"] == picture_id(10)]
    assert first["same"] == 1 + len(COPIES)
    for shown in (10, 120):
        found = gallery.picture(picture_id(shown))
        assert found is not None
        others = {row["id"] for row in gallery.alike(found, PAGE)}
        assert others == {picture_id(one) for one in (10, *COPIES) if one != shown}


def test_neighbours_are_the_stored_ones_by_rank(gallery: Gallery, shape: Shape) -> None:
    vectors = unit_vectors(PICTURES, dimension=shape.dimension)
    for copy, original in COPIES.items():
        vectors[copy] = vectors[original] + 1e-3
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    picture = gallery.picture(picture_id(33))
    assert picture is not None
    found = gallery.neighbours(picture)
    distances = np.linalg.norm(vectors - vectors[33], axis=1)
    true = [picture_id(number) for number in np.argsort(distances)[1 : STORED + 1]]
    assert [row["id"] for row in found] == true
    assert [row["rank"] for row in found] == list(range(1, STORED + 1))
    assert [row["distance"] for row in found] == pytest.approx(np.sort(distances)[1 : STORED + 1], abs=1e-5)
    assert [bool(row["same_class"]) for row in found] == [int(id_, 16) % CLASSES == 3 for id_ in true]


@pytest.mark.parametrize("number", [0, -3, 10**9])
def test_a_page_that_is_not_there_is_the_nearest_one(gallery: Gallery, number: int) -> None:
    page = gallery.page(ALL, False, number, PAGE)
    assert page.number in (1, page.pages)
    assert page.pictures


def test_what_is_not_there_is_nothing(gallery: Gallery) -> None:
    assert gallery.picture(picture_id(PICTURES)) is None
    assert gallery.page(CLASSES + 1, False, 1, PAGE).pictures == []


def test_no_page_looks_at_pictures_that_it_does_not_show(index: Index) -> None:
    asked: list[str] = []
    with closing(sqlite3.connect(index.gallery_file)) as database:
        database.row_factory = sqlite3.Row
        database.set_trace_callback(asked.append)
        gallery = Gallery(database)
        picture = gallery.page(ALL, True, 2, PAGE).pictures[0]
        found = gallery.picture(picture["id"])
        assert found is not None
        gallery.neighbours(found)
        gallery.alike(found, PAGE)
        database.set_trace_callback(None)
        assert len(asked) == 5
        for query in asked:
            for step in database.execute(f"EXPLAIN QUERY PLAN {query}"):
                assert "SCAN" not in step["detail"], query


def test_a_version_without_a_gallery_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match="has no gallery"), open_gallery(Index(tmp_path / ("0" * 16))):
        pass


def test_laid_out_once(index: Index) -> None:
    before = index.gallery_file.stat().st_ino
    lay_out_gallery(DataRoot(index.folder.parent.parent))
    assert index.gallery_file.stat().st_ino == before


def test_chains_of_pairs_are_one_group() -> None:
    pairs = {(1, 4): 0.1, (2, 4): 0.1, (0, 5): 0.1}
    assert first_alike(pairs, 7).tolist() == [0, 1, 1, 3, 1, 0, 6]
    assert first_alike({}, 3).tolist() == [0, 1, 2]


def test_all_paths_of_a_picture_are_known_and_each_names_it(gallery: Gallery) -> None:
    picture = gallery.picture(picture_id(7))
    assert picture is not None
    assert gallery.copies(picture) == [
        {"path": "/pictures/a copy.jpg", "label": None},
        {"path": "/pictures/copy.jpg", "label": "6"},
    ]
    for name in ("/pictures/copy.jpg", "copy.jpg", "/pictures/00007.jpg"):
        assert [found["id"] for found in gallery.named(name)] == [picture_id(7)]
