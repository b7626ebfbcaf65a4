"""What has landed since the last index, by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.changes import Changes, find_changes
from jobs.store.catalog import read_catalog, write_catalog
from jobs.store.root import DataRoot
from jobs.store.versions import Index, open_index
from tests.support.synthetic import FINGERPRINT, make_index, make_root, picture_id

PICTURES = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, spark: object) -> DataRoot:
    root, _ = make_root(tmp_path_factory.mktemp("changes"), PICTURES)
    make_index(root)
    return root


@pytest.fixture
def version(made: DataRoot) -> str:
    make_root(made.root, PICTURES)  # the catalog as it was
    return open_index(made).version


def test_nothing_is_new(made: DataRoot, version: str) -> None:
    changes = find_changes(made, FINGERPRINT)
    assert changes == Changes(version, 0, 0, 0)
    assert not changes


def test_what_landed_left_and_was_named_anew_is_counted(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    landed = {**rows[0], "id": picture_id(99), "path": "/pictures/new.jpg"}
    rows[1]["label"] = rows[1]["class_name"] = "another"
    rows[2]["path"] = "/elsewhere/00002.jpg"
    write_catalog([landed, *rows[:-1]], made)
    assert find_changes(made, FINGERPRINT) == Changes(version, new=1, gone=1, renamed=2)


def test_a_copy_under_another_name_is_nothing_new(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    copies = [{**rows[0], "path": f"/pictures/{name}.jpg"} for name in ("0", "copy")]
    write_catalog([*rows, *copies], made)
    assert not find_changes(made, FINGERPRINT)


def test_a_quarantined_picture_has_gone(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    rows[0] |= {"status": "quarantined", "reason": "empty file"}
    write_catalog(rows, made)
    assert find_changes(made, FINGERPRINT) == Changes(version, new=0, gone=1, renamed=0)


def test_by_another_model_every_picture_is_new(made: DataRoot, version: str) -> None:
    assert find_changes(made, "f" * 16) == Changes(None, PICTURES, 0, 0)


@pytest.mark.parametrize("spoil", ["none was built", "a file is missing"])
def test_without_a_sound_index_every_picture_is_new(tmp_path: Path, spoil: str) -> None:
    root, _ = make_root(tmp_path, 3)
    if spoil == "a file is missing":
        index = Index(root.index / ("0" * 16))
        index.folder.mkdir(parents=True)
        (root.index / "built").write_text(index.version)
    changes = find_changes(root, FINGERPRINT)
    assert changes == Changes(None, 3, 0, 0)
    assert changes
