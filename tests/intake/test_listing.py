"""The inbox as a source: beside every other one, or alone, its labels before or after its pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.catalog import build_catalog
from jobs.intake.kinds import remedy_of
from jobs.intake.listing import scan
from jobs.sources import find_source
from jobs.store.catalog import quarantine_file, read_catalog
from jobs.store.root import DataRoot
from tests.support.pictures import write_picture, write_pictures


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


def test_the_inbox_joins_every_source(root: DataRoot, tmp_path: Path) -> None:
    write_pictures(tmp_path / "mine", 3)
    write_picture(root.inbox / "red" / "landed.png", 9)
    source = find_source("folder", root, directory=str(tmp_path / "mine"))
    build_catalog(source, root)
    assert [(row["split"], row["label"]) for row in read_catalog(root)] == [("all", None)] * 3 + [
        ("inbox", "red")
    ]


def test_the_inbox_may_be_a_link_to_a_folder_elsewhere(root: DataRoot, tmp_path: Path) -> None:
    write_pictures(tmp_path / "elsewhere", 2)
    root.root.mkdir()
    root.inbox.symlink_to(tmp_path / "elsewhere")
    build_catalog(find_source("inbox", root), root)
    assert [row["status"] for row in read_catalog(root)] == ["ok", "ok"]


def test_a_missing_inbox_is_reported(root: DataRoot) -> None:
    with pytest.raises(LookalikeError, match="inbox is not a folder: create it and put pictures there"):
        find_source("inbox", root)


@pytest.mark.parametrize("first", ["labels", "pictures"])
def test_labels_land_before_or_after_their_pictures(root: DataRoot, first: str) -> None:
    def land_labels() -> None:
        root.inbox.mkdir(parents=True, exist_ok=True)
        (root.inbox / "labels.csv").write_text("image,label\nred.png,Red\nblue.png,Blue\n")

    def land_pictures() -> None:
        write_picture(root.inbox / "red.png", 1)

    steps = [land_labels, land_pictures] if first == "labels" else [land_pictures, land_labels]
    write_picture(root.inbox / "other.png", 2)
    for step in steps:
        step()
        build_catalog(find_source("inbox", root), root)
    labels = {Path(row["path"]).name: row["label"] for row in read_catalog(root)}
    assert labels == {"other.png": None, "red.png": "Red"}


def test_quarantined_files_are_listed_with_their_reasons(root: DataRoot) -> None:
    write_pictures(root.inbox, 2)
    (root.inbox / 'odd, "name".jpg').write_bytes(b"")
    build_catalog(find_source("inbox", root), root, max_quarantined=0.5)
    with quarantine_file(root).open(newline="") as file:
        (listed,) = csv.DictReader(file)
    assert listed == {
        "path": str(root.inbox / 'odd, "name".jpg'),
        "reason": "empty file",
        "split": "inbox",
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Network Trash Folder", "recycle bins"),
        ("Temporary Items", "folders of an operating system"),
        ("found.000", "folders of an operating system"),
        ("FOUND.017", "folders of an operating system"),
        ("@SynoResource", "folders of a NAS"),
        ("@tmp", "folders of a NAS"),
        ("node_modules", "folders of programs"),
        ("iPod Photo Cache", "folders of thumbnails"),
    ],
)
def test_folders_of_systems_and_devices_are_passed_over(tmp_path: Path, name: str, kind: str) -> None:
    for folder in (name, "found.it", "my node_modules"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(b"")
    listing = scan(tmp_path)
    assert listing.passed_over == {kind: 1}
    assert [file.relative for file in listing.pictures] == ["found.it/a.jpg", "my node_modules/a.jpg"]


@pytest.mark.parametrize("name", ["labels.tsv", "Labels.xlsx"])
def test_labels_of_another_kind_are_counted_and_what_to_do_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "other.tsv").touch()
    kind = "label files of another kind"
    assert scan(tmp_path).passed_over == {kind: 1, "other files": 1}
    assert remedy_of(kind) == "save its rows as labels.csv"
