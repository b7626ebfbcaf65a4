"""How pictures get their labels, by CSV or by folder and within each split, and what is reported about it."""

from __future__ import annotations

import csv
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import jobs
from jobs.base.errors import LookalikeError
from jobs.catalog import build_catalog
from jobs.catalog import main as catalog_main
from jobs.intake.folder import folder
from jobs.intake.source import Source, Split
from jobs.sources import find_source
from jobs.sources import main as sources_main
from jobs.store.catalog import LABELS_TOLD, PASSED_OVER, read_catalog
from jobs.store.root import DataRoot
from tests.support.pictures import write_picture, write_pictures

PROJECT = Path(jobs.__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """An empty folder, to be filled."""
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def write_labels(path: Path, rows: Iterable[tuple[str, str]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *rows])
    return str(path)


def told(root: DataRoot, name: str) -> list[tuple[str, ...]]:
    """The rows of one of the CSVs beside the catalog, without its header."""
    with (root.catalog / name).open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def labels(root: DataRoot) -> dict[tuple[str, str], str | None]:
    """By split and bare name."""
    return {(row["split"], os.path.basename(row["path"])): row["label"] for row in read_catalog(root)}


def test_labels_join_and_unmatched_rows_and_files_are_listed(pictures: Path, root: DataRoot) -> None:
    write_pictures(pictures, 5)
    rows = [("000.jpg", "red"), ("gone.jpg", "blue"), ("001.jpg", ""), ("002.jpg", "red"), ("000.jpg", "red")]
    write_labels(pictures / "labels.csv", [*rows, ("003.jpg", "red"), ("003.jpg", "blue")])
    _, counts = build_catalog(folder(pictures), root)
    assert list(labels(root).values()) == ["red", None, "red", None, None]
    assert told(root, "unmatched_rows.csv") == [
        ("all", "3", "gone.jpg", "blue", "no such picture"),
        ("all", "4", "001.jpg", "", "has no label"),
        ("all", "7", "003.jpg", "red", "contradicts another row"),
        ("all", "8", "003.jpg", "blue", "contradicts another row"),
    ]
    assert told(root, "unmatched_files.csv") == [("all", f"{name}.jpg") for name in ("001", "003", "004")]
    assert {name: counts[name] for name in ("files", "labelled", "unmatched_rows", "unmatched_files")} == {
        "files": 5,
        "labelled": 2,
        "unmatched_rows": 4,
        "unmatched_files": 3,
    }
    assert counts["duplicate_rows"] == 1


def test_odd_names_are_joined_and_listed_as_they_are(pictures: Path, root: DataRoot) -> None:
    names = [
        "two words.jpg",
        'it\'s "q".jpg',
        "two\nlines.jpg",
        "写真/é ü.jpg",
        "[x]*?.jpg",
        "%2F &#.jpg",
        "a,b.jpg",
    ]
    for seed, name in enumerate(names):
        write_picture(pictures / name, seed)
    write_labels(pictures / "labels.csv", [(name, f"label {name}") for name in names[:-1]])
    build_catalog(folder(pictures), root)
    found = {os.path.relpath(row["path"], pictures): row["label"] for row in read_catalog(root)}
    assert found == {name: f"label {name}" for name in names[:-1]} | {"a,b.jpg": None}
    assert told(root, "unmatched_files.csv") == [("all", "a,b.jpg")]
    write_labels(pictures / "labels.csv", [])
    build_catalog(folder(pictures), root)
    assert {file for _, file in told(root, "unmatched_files.csv")} == set(names)


def test_name_that_is_not_utf8_is_listed_too(pictures: Path, root: DataRoot) -> None:
    write_pictures(pictures, 4)
    os.rename(pictures / "003.jpg", os.fsencode(pictures) + b"/\xff.jpg")
    write_labels(pictures / "labels.csv", [(f"00{n}.jpg", "red") for n in range(3)])
    build_catalog(folder(pictures), root, max_quarantined=0.5)
    assert told(root, "unmatched_files.csv") == [("all", r"\xff.jpg")]


def test_same_file_names_in_two_splits_are_joined_within_their_split(tmp_path: Path, root: DataRoot) -> None:
    splits = []
    for seed, name in enumerate(("train", "test")):
        path = write_picture(tmp_path / name / "00001.jpg", seed)
        csv_file = write_labels(tmp_path / f"{name}.csv", [("00001.jpg", name), (f"{name}-gone.jpg", "x")])
        splits.append(Split(name, str(path.parent), csv_file))
    splits.append(Split("unlabelled", splits[0].pictures, label_rule="none"))
    _, counts = build_catalog(Source("cars", tuple(splits)), root)
    assert labels(root) == {
        ("test", "00001.jpg"): "test",
        ("train", "00001.jpg"): "train",
        ("unlabelled", "00001.jpg"): None,
    }
    assert [row[:3] for row in told(root, "unmatched_rows.csv")] == [
        ("train", "3", "train-gone.jpg"),
        ("test", "3", "test-gone.jpg"),
    ]
    assert (counts["files"], counts["unmatched_files"]) == (3, 0)


def test_unknown_class_number_is_kept_and_counted(pictures: Path, tmp_path: Path, root: DataRoot) -> None:
    write_pictures(pictures, 3)
    meta = tmp_path / "meta.mat"
    scipy.io.savemat(meta, {"class_names": np.array(["Audi TT", "BMW M3"], object)})
    csv_file = write_labels(tmp_path / "l.csv", [("000.jpg", "2"), ("001.jpg", "3"), ("002.jpg", "1")])
    _, counts = build_catalog(Source("cars", (Split("train", str(pictures), csv_file),), str(meta)), root)
    seen = [(row["label"], row["class_name"]) for row in read_catalog(root)]
    assert seen == [("2", "BMW M3"), ("3", "3"), ("1", "Audi TT")]
    assert (counts["unknown_classes"], counts["labelled"]) == (1, 3)


def test_same_bytes_under_two_labels_are_reported_as_a_conflict(pictures: Path, root: DataRoot) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2, "d": 2, "e": 3, "f": 3, "g": 4}.items():
        write_picture(pictures / f"{name}.jpg", seed)
    named = {"a": "red", "b": "blue", "c": "red", "d": "red", "e": "red", "g": "red"}
    write_labels(pictures / "labels.csv", [(f"{name}.jpg", label) for name, label in named.items()])
    _, counts = build_catalog(folder(pictures), root)
    doubles = told(root, "duplicates.csv")
    assert {(os.path.basename(path), label, conflict) for _, path, label, conflict in doubles} == {
        ("a.jpg", "red", "True"),
        ("b.jpg", "blue", "True"),
        ("c.jpg", "red", "False"),
        ("d.jpg", "red", "False"),
        ("e.jpg", "red", "False"),
        ("f.jpg", "", "False"),
    }
    ids = {os.path.basename(row["path"]): row["id"] for row in read_catalog(root)}
    assert all(id_ == ids[os.path.basename(path)] for id_, path, *_ in doubles)
    assert (counts["duplicate_files"], counts["conflicting_labels"]) == (6, 2)


def test_folders_name_the_classes(pictures: Path, root: DataRoot) -> None:
    for seed, name in enumerate(["red/a.jpg", "blue/b.jpg", "cars/green/c.jpg", "top.jpg"]):
        write_picture(pictures / name, seed)
    source = folder(pictures)
    assert source.splits[0].label_rule == "class_folders"
    build_catalog(source, root)
    assert labels(root) == {
        ("all", "b.jpg"): "blue",
        ("all", "c.jpg"): "cars",
        ("all", "a.jpg"): "red",
        ("all", "top.jpg"): None,
    }
    assert told(root, "unmatched_files.csv") == [("all", "top.jpg")]


def test_label_rule_is_found_or_chosen(pictures: Path) -> None:
    write_pictures(pictures, 1)
    (pictures / ".cache").mkdir()
    assert folder(pictures).splits[0].label_rule == "none"
    (pictures / "red").mkdir()
    assert folder(pictures).splits[0].label_rule == "class_folders"
    labels_csv = write_labels(pictures / "labels.csv", [])
    for rule in ("auto", "csv"):
        split = folder(pictures, rule).splits[0]
        assert (split.label_rule, split.labels) == (rule, labels_csv)
    for rule in ("class_folders", "none"):
        split = folder(pictures, rule).splits[0]
        assert (split.label_rule, split.labels) == (rule, None)


def test_a_row_goes_before_the_folder_and_without_a_row_the_folder_holds(
    pictures: Path, root: DataRoot
) -> None:
    for seed, name in enumerate(["cat/a.jpg", "cat/b.jpg", "dog/c.jpg"]):
        write_picture(pictures / name, seed)
    write_labels(pictures / "Labels.CSV", [("a.jpg", "tiger")])
    build_catalog(folder(pictures), root)
    assert labels(root) == {("all", "a.jpg"): "tiger", ("all", "b.jpg"): "cat", ("all", "c.jpg"): "dog"}
    build_catalog(folder(pictures, "csv"), root)
    assert labels(root)["all", "b.jpg"] is None


def test_beside_a_label_file_one_folder_of_all_pictures_is_no_class(pictures: Path, root: DataRoot) -> None:
    write_pictures(pictures / "images", 2)
    write_labels(pictures / "labels.csv", [("000.jpg", "tiger")])
    build_catalog(folder(pictures), root)
    assert labels(root) == {("all", "000.jpg"): "tiger", ("all", "001.jpg"): None}


def test_label_files_that_are_not_used_are_said(pictures: Path, root: DataRoot) -> None:
    write_pictures(pictures / "batch1", 2)
    write_labels(pictures / "batch1" / "labels.csv", [("000.jpg", "tiger")])
    build_catalog(folder(pictures), root)
    assert "label files in sub-folders,1,move their rows" in (root.catalog / PASSED_OVER).read_text()
    for name in ("labels.csv", "LABELS.csv"):
        write_labels(pictures / name, [("000.jpg", "tiger")])
    with pytest.raises(LookalikeError, match=r"several label files \(LABELS.csv, labels.csv\): keep one"):
        folder(pictures)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("target", ["/no/such/file", "/dev/zero", "."])
def test_a_label_file_that_is_no_file_is_said(pictures: Path, root: DataRoot, target: str) -> None:
    write_pictures(pictures / "cat", 2)
    (pictures / "Labels.csv").symlink_to(target)
    with pytest.raises(LookalikeError, match=re.escape(f"{pictures}/Labels.csv") + ".*: make it a file"):
        build_catalog(folder(pictures), root)
    for rule in ("class_folders", "none"):
        build_catalog(folder(pictures, rule), root)


@pytest.mark.parametrize(("fitting", "stops"), [(0, True), (1, False), (4, False), (5, False), (10, False)])
def test_labels_that_hardly_fit_stop_the_run_or_are_said(
    pictures: Path, root: DataRoot, fitting: int, stops: bool
) -> None:
    write_pictures(pictures, 10)
    names = [f"{number:03d}.jpg" if number < fitting else f"IMG {number}.jpg" for number in range(10)]
    write_labels(pictures / "labels.csv", [(name, "tiger") for name in names])
    said = (
        f"{10 - fitting} of the 10 rows of {pictures}/labels.csv fit no picture: line {fitting + 2} names "
        f"'IMG {fitting}.jpg', and a picture is '{fitting:03d}.jpg'"
    )
    if stops:
        with pytest.raises(LookalikeError, match=re.escape(said) + ": correct"):
            build_catalog(folder(pictures), root)
    build_catalog(folder(pictures), root, min_matched=0)
    assert (said in (root.catalog / LABELS_TOLD).read_text()) == (fitting < 5)


@pytest.mark.parametrize("others", [2, 0])
def test_a_label_file_that_fits_no_picture_stops_the_run_though_folders_label_all(
    pictures: Path, root: DataRoot, others: int
) -> None:
    for seed, name in enumerate(["cat/000.jpg", "dog/001.jpg", "dog/000.jpg"]):
        write_picture(pictures / name, seed)
    write_labels(pictures / "labels.csv", [*[("000.jpg", "tiger")], *[("gone.jpg", "tiger")] * others])
    said = (
        f"2 of the 3 rows of {pictures}/labels.csv fit no picture: line 3 names 'gone.jpg', and a picture is "
        "'cat/000.jpg': correct"
        if others
        else f"none of the 1 rows of {pictures}/labels.csv labels a picture: line 2 names '000.jpg' "
        "(2 pictures have this name): correct"
    )
    with pytest.raises(LookalikeError, match=re.escape(said)):
        build_catalog(folder(pictures), root)
    _, counts = build_catalog(folder(pictures), root, min_matched=0)
    assert counts["labelled"] == 3


def test_labels_of_more_pictures_than_there_are_fit(pictures: Path, root: DataRoot) -> None:
    write_pictures(pictures, 3)
    write_labels(pictures / "labels.csv", [(f"{number:03d}.jpg", "tiger") for number in range(200)])
    _, counts = build_catalog(folder(pictures), root)
    assert counts["labelled"] == 3
    assert "197 of the 200 rows" in (root.catalog / LABELS_TOLD).read_text()


@pytest.mark.parametrize("into", ["", "cat"])
def test_labels_may_land_in_the_inbox_before_their_pictures(root: DataRoot, into: str) -> None:
    write_pictures(root.inbox / into, 2)
    write_labels(root.inbox / "labels.csv", [("later.jpg", "tiger")])
    build_catalog(find_source("inbox", root), root)


def test_unlabelled_folder_has_no_labels_and_misses_none(pictures: Path, root: DataRoot) -> None:
    write_picture(pictures / "red" / "a.jpg")
    _, counts = build_catalog(folder(pictures, "none"), root)
    assert labels(root) == {("all", "a.jpg"): None}
    assert (counts["labelled"], counts["unmatched_files"]) == (0, 0)


def test_missing_folder_or_labels_are_reported(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"gone is not a folder: give the folder"):
        folder(tmp_path / "gone")
    with pytest.raises(LookalikeError, match=r"a\.jpg is not a folder"):
        folder(write_picture(pictures / "a.jpg"))
    with pytest.raises(LookalikeError, match=r"labels\.csv is missing: put it there"):
        folder(pictures, "csv")


def test_source_is_the_same_after_its_way_through_json(pictures: Path) -> None:
    for source in (
        folder(pictures),
        Source("cars", (Split("a", "/a", "/l.csv"), Split("b", "/b")), "/m.mat"),
    ):
        assert Source.from_dict(source.to_dict()) == source


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "17", "{}", "[" * 100_000),
        '{"name": "x", "splits": [], "class_names": null}',
        '{"name": 1, "splits": [{"name": "a", "pictures": "/a"}], "class_names": null}',
        '{"name": "x", "splits": [{"name": "a", "pictures": ""}], "class_names": null}',
        '{"name": "x", "splits": [{"name": "a", "pictures": "/a", "label_rule": "no"}], "class_names": null}',
        '{"name": "x", "splits": {"name": "a"}, "class_names": null}',
    ],
)
def test_a_file_that_describes_no_source_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "source.json"
    file.write_text(text)
    assert catalog_main([f"--source={file}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {file} does not describe a source (")
    assert error.endswith("write it with python -m jobs.sources --output.\n")


def command(root: DataRoot, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env=os.environ | {"LOOKALIKE_DATA": str(root.root)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("module", ["jobs.sources", "jobs.catalog"])
def test_command_explains_itself(root: DataRoot, module: str) -> None:
    done = command(root, module, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: python -m {module}" in done.stdout


def test_commands_go_from_a_folder_to_its_catalog(pictures: Path, tmp_path: Path, root: DataRoot) -> None:
    write_pictures(pictures, 4)
    found, limited = str(tmp_path / "source.json"), ("--limit", "2")
    made = command(root, "jobs.sources", "--source", "folder", "--folder", str(pictures), "--output", found)
    assert (made.returncode, made.stderr) == (0, "")
    built = command(root, "jobs.catalog", "--source", found, *limited)
    assert (built.returncode, built.stderr) == (0, "")
    assert "files: 2" in built.stdout
    assert len(read_catalog(root)) == 2


def test_error_is_one_line_and_status_2(root: DataRoot) -> None:
    done = command(root, "jobs.sources", "--source", "folder", "--folder", "/no/such/folder")
    assert done.stderr == (
        "error: /no/such/folder is not a folder: give the folder that holds your pictures.\n"
    )
    assert done.returncode == 2


@pytest.fixture
def quiet() -> Iterator[None]:
    """Steps turn up the log; it is turned down again."""
    loggers = [logging.getLogger(name) for name in ("jobs", "__main__")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (sources_main, ["--source", "folder"]),
        (
            sources_main,
            ["--source", "folder", "--folder", str(PROJECT / "jobs"), "--output", "/no/such/x.json"],
        ),
        (catalog_main, ["--source", "/no/such/source.json"]),
        (catalog_main, ["--source", __file__]),
    ],
)
def test_wrong_argument_is_one_line_and_status_2(
    main: Callable[[list[str]], int], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert len(stderr.splitlines()) == 1
