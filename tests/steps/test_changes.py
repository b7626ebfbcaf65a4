"""The changes since the last index, by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.changes import Changes, find_changes
from jobs.store.catalog import read_catalog
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.settings import write_settings
from jobs.store.versions import Index, open_index, point_to_index
from jobs.vectors import assemble_vectors
from tests.support.synthetic import FINGERPRINT, RESIZED, make_index, make_root, picture_id, take

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
    assert not changes.anything


def test_new_gone_and_renamed_pictures_are_counted(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    landed = {**rows[0], "id": picture_id(99), "path": "/pictures/new.jpg"}
    rows[1]["label"] = rows[1]["class_name"] = "another"
    rows[2]["path"] = "/elsewhere/00002.jpg"
    take(made, [landed, *rows[:-1]])
    assert find_changes(made, FINGERPRINT) == Changes(version, new=1, gone=1, renamed=2)


def test_a_resized_copy_that_was_removed_is_a_change(made: DataRoot, version: str) -> None:
    copy = resized_file(made, RESIZED, picture_id(2))
    content = copy.read_bytes()
    copy.unlink()
    changes = find_changes(made, FINGERPRINT)
    assert changes == Changes(version, 0, 0, 0, lacking=1) and changes.anything
    copy.write_bytes(content)


@pytest.mark.parametrize("column", ["path", "label", "class_name"])
def test_another_name_alone_is_a_change(made: DataRoot, version: str, column: str) -> None:
    rows = read_catalog(made)
    rows[3][column] = "another"
    take(made, rows)
    assert find_changes(made, FINGERPRINT) == Changes(version, new=0, gone=0, renamed=1)


def test_a_catalog_that_is_named_is_compared_whatever_came_later(made: DataRoot, version: str) -> None:
    earlier = take(made, read_catalog(made)[:-2])
    make_root(made.root, PICTURES)
    assert find_changes(made, FINGERPRINT, catalog=earlier).gone == 2
    assert not find_changes(made, FINGERPRINT).anything


def test_a_copy_under_another_name_is_nothing_new(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    copies = [{**rows[0], "path": f"/pictures/{name}.jpg"} for name in ("0", "copy")]
    take(made, [*rows, *copies])
    assert not find_changes(made, FINGERPRINT).anything


def test_a_label_of_a_copy_is_a_change(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    labelled = {**rows[0], "path": "/pictures/copy.jpg", "label": "another"}
    rows[0]["label"] = None
    take(made, [*rows, labelled])
    assert find_changes(made, FINGERPRINT).renamed == 1


def test_a_quarantined_picture_has_gone(made: DataRoot, version: str) -> None:
    rows = read_catalog(made)
    rows[0] |= {"status": "quarantined", "reason": "empty file"}
    take(made, rows)
    assert find_changes(made, FINGERPRINT) == Changes(version, new=0, gone=1, renamed=0)


def test_by_another_model_every_picture_is_new(made: DataRoot, version: str) -> None:
    assert find_changes(made, "f" * 16) == Changes(None, PICTURES, 0, 0)


@pytest.mark.parametrize("broken", ["none was built", "a file is missing"])
def test_without_a_usable_index_every_picture_is_new(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    root, _ = make_root(tmp_path, 3)
    index = Index(root.index / ("0" * 16))
    if broken == "a file is missing":
        index.folder.mkdir(parents=True)
        (root.index / "built").write_text(index.version)
    with caplog.at_level("INFO", logger="jobs.changes"):
        changes = find_changes(root, FINGERPRINT)
    reason = (
        f"the earlier index can't be compared with, every picture is new: {index.folder} is not a complete"
    )
    expected = {"none was built": "no earlier index: every picture is new", "a file is missing": reason}
    assert caplog.messages[-1].startswith(expected[broken]) and "similarity_index" not in caplog.text
    assert changes == Changes(None, 3, 0, 0)
    assert changes.anything


@pytest.mark.parametrize("fingerprint", ["", "../x", "zzzz", FINGERPRINT + "/"])
def test_what_is_no_fingerprint_is_one_sentence(made: DataRoot, fingerprint: str) -> None:
    for step in (find_changes, assemble_vectors):
        with pytest.raises(LookalikeError, match="is not a fingerprint: give the 16 hex digits"):
            step(made, fingerprint)


@pytest.fixture
def published(made: DataRoot, version: str) -> DataRoot:
    """The index is the published one, of pictures in a folder (ten) and the inbox (two)."""
    point_to_index(made, CURRENT, open_index(made, version))
    write_settings(made, {"params": {}, "splits": {"all": PICTURES - 2, "inbox": 2}})
    rows = read_catalog(made)
    take(made, [{**row, "split": "all" if number >= 2 else "inbox"} for number, row in enumerate(rows)])
    return made


@pytest.mark.parametrize("removed", [5, 6, 7, 10])
def test_a_run_that_removes_most_pictures_stops_unless_it_is_let_through(
    published: DataRoot, removed: int
) -> None:
    rows = read_catalog(published)
    left = sorted(rows, key=lambda row: row["split"] != "inbox")[: PICTURES - removed]
    take(published, left)
    if removed > PICTURES / 2:
        sentence = (
            rf"{removed} of the 12 pictures .* are gone, more than the 50% allowed, /.*set max_removed to 1"
        )
        with pytest.raises(LookalikeError, match=sentence):
            find_changes(published, FINGERPRINT)
    for allowed in (removed / PICTURES, 1.0):
        if removed < 10 or allowed == 1:
            assert find_changes(published, FINGERPRINT, max_removed=allowed).gone == removed


def test_a_run_that_removes_a_whole_split_stops(published: DataRoot) -> None:
    take(published, [row for row in read_catalog(published) if row["split"] != "inbox"])
    with pytest.raises(LookalikeError, match="all 2 pictures of the split inbox are gone: check"):
        find_changes(published, FINGERPRINT, max_removed=0.9)
    assert find_changes(published, FINGERPRINT, max_removed=1).gone == 2


def test_pictures_that_were_moved_edited_or_become_unreadable_are_not_removed(published: DataRoot) -> None:
    rows = read_catalog(published)
    for number, row in enumerate(rows):
        if number % 3 == 0:
            row["path"] = row["path"].replace("/", "/moved/")
        elif number % 3 == 1:
            row["id"] = picture_id(100 + number)
        elif number % 2:
            row |= {"status": "quarantined", "reason": "empty file"}
    take(published, rows)
    find_changes(published, FINGERPRINT, max_removed=0)


def test_another_model_is_no_way_around(published: DataRoot) -> None:
    take(published, read_catalog(published)[:2])
    with pytest.raises(LookalikeError, match="are gone"):
        find_changes(published, "0" * 16)
