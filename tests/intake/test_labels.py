"""Label CSVs as people have them: what is read, what is joined, and what each sentence says."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import scipy.io

from jobs.base.errors import LookalikeError
from jobs.intake.join import Join, join_labels
from jobs.intake.labels import LabelRow, clean_labels, read_class_names, read_labels
from jobs.store.root import PROJECT

Form = Literal["NFC", "NFD"]

CARS_META = PROJECT.parent / "shared/cars/car_devkit/devkit/cars_meta.mat"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(tmp_path: Path, text: str | bytes) -> list[tuple[int, str, str, str | None]]:
    found = read_labels(write(tmp_path / "labels.csv", text))
    return [(row.row, row.image, row.label, row.reason) for row in found]


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(LookalikeError) as caught:
        rows(tmp_path, text)
    assert str(tmp_path / "labels.csv") in str(caught.value)
    return str(caught.value)


def joined(labels: list[tuple[str, str]], files: list[str]) -> Join:
    return join_labels([LabelRow(2 + n, *row) for n, row in enumerate(labels)], files)


def unmatched(join: Join) -> list[tuple[int, str, str | None]]:
    return [(row.row, row.image, row.reason) for row in join.unmatched_rows]


def test_stanford_cars_columns_are_read(tmp_path: Path) -> None:
    text = ",x1,y1,x2,y2,Class,image\n0,39,116,569,375,14,00001.jpg\n1,36,116,868,587,3,00002.jpg\n"
    assert rows(tmp_path, text) == [(2, "00001.jpg", "14", None), (3, "00002.jpg", "3", None)]


@pytest.mark.parametrize("image", ["image", "path", "file", "filename", "Image", " FILENAME "])
@pytest.mark.parametrize("label", ["label", "Class", "class", "LABEL"])
def test_columns_are_known_by_any_of_their_names(tmp_path: Path, image: str, label: str) -> None:
    assert rows(tmp_path, f"{label},{image}\nred,a.jpg\n") == [(2, "a.jpg", "red", None)]


def test_extra_columns_are_ignored(tmp_path: Path) -> None:
    assert rows(tmp_path, "note,image,x,label,\nhello,a.jpg,3,red,\n") == [(2, "a.jpg", "red", None)]


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("x1,Class", "image"),
        (",x1,y1,x2,y2,image", "Class or label"),
        ("picture;label", "image"),
        ("", "image"),
    ],
)
def test_missing_column_is_named_beside_those_there_are(tmp_path: Path, header: str, missing: str) -> None:
    sentence = refusal(tmp_path, f"{header}\n1,a.jpg\n")
    assert f"has no column {missing} " in sentence
    assert all(name in sentence for name in header.lower().replace(";", ",").split(","))


def test_empty_file_is_refused_and_a_header_alone_is_not(tmp_path: Path) -> None:
    assert "has no column image (its columns: none)" in refusal(tmp_path, "")
    assert rows(tmp_path, "image,label\n") == []


LABELS = [(2, "café.jpg", "röd", None), (3, "b.jpg", "blå", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_spreadsheets_are_read(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    lines = [("x", "image", "label"), ("1", "café.jpg", "röd"), ("2", "b.jpg", "blå")]
    text = "".join(delimiter.join(line) + end for line in lines)
    assert rows(tmp_path, text.encode(encoding)) == LABELS
    told = f"sep={delimiter}{end}{text}"
    assert rows(tmp_path, told.encode(encoding)) == [(row + 1, *rest) for row, *rest in LABELS]


def told_of(tmp_path: Path, content: bytes) -> list[str]:
    told: list[str] = []
    read_labels(write(tmp_path / "labels.csv", content), told)
    return told


def test_windows_1252_is_said(tmp_path: Path) -> None:
    before = b"image,label\na.jpg,x\ncaf"
    (said,) = told_of(tmp_path, before + b"\xe9.jpg,x\n")
    assert f"is not UTF-8 (byte 0xe9 at {len(before)}) and is read as Windows-1252" in said
    assert told_of(tmp_path, b"image,label\na.jpg,x\n") == []


def test_rows_that_are_cut_are_said(tmp_path: Path) -> None:
    (said,) = told_of(tmp_path, b"image,label\n0.jpg,cat\n1.jpg,cat, big\n2.jpg,dog,\n3.jpg,a,b,c\n")
    assert said.startswith("2 rows of ") and "more fields than its header, line 3 for one" in said


@pytest.mark.parametrize("header", ["image,label,Label", "path, PATH ,label"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, header: str) -> None:
    assert "has several columns" in refusal(tmp_path, f"{header}\n0.jpg,a,b\n".encode())


def test_a_field_without_an_end_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, b'image,label\n0.jpg,"' + b"x" * 200_000 + b'"\n')
    assert "cannot be read as a CSV (a quote is opened and not closed, perhaps): repair the file." in said


@pytest.mark.parametrize(("written", "label"), [("NaT", ""), ("-0.0", "0"), ("-1.0", "-1"), ("+0.00", "0")])
def test_what_programs_write_for_nothing_and_for_naught(tmp_path: Path, written: str, label: str) -> None:
    ((_, _, found, _),) = rows(tmp_path, f"image,label\n0.jpg,{written}\n".encode())
    assert found == label


@pytest.mark.parametrize("content", [b"\xff\xfei", b"image,label\n\0", "image,label\n".encode("utf-16-be")])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "save it as" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        *((missing, "") for missing in ("nan", "NaN", "None", "NULL", "N/A", "<NA>", "#N/A", " ")),
        *(("14.0", "14"), ("14.00", "14"), ("014", "014"), ("14.5", "14.5"), ("1.0.0", "1.0.0")),
        *(("Cafe\u0301  racer", "Café racer"), ("Café\u00a0racer\u200b", "Café racer"), ("café", "café")),
    ],
)
def test_a_label_has_one_spelling(written: str, label: str) -> None:
    (row,) = clean_labels([LabelRow(2, "a.jpg", written)])
    assert (row.label, row.reason) == (label, None if label else "has no label")


def test_leading_zeros_of_labels_go_where_the_number_is_there_too() -> None:
    written = ["14", "014", "14.0", "007", "0"]
    cleaned = clean_labels([LabelRow(2 + number, "a.jpg", label) for number, label in enumerate(written)])
    assert [row.label for row in cleaned] == ["14", "14", "14", "007", "0"]


FILES = [
    "train/IMG_0001.JPG",
    "train/00014.jpg",
    "my photo.jpg",
    "deep/er/only.png",
    "x/same.jpg",
    "y/same.jpg",
]


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("C:\\Users\\me\\cars\\train\\IMG_0001.JPG", "train/IMG_0001.JPG"),
        ("data/pictures/my photo.jpg", "my photo.jpg"),
        ("my%20photo.jpg", "my photo.jpg"),
        ("/train/img_0001.jpg", "train/IMG_0001.JPG"),
        ("img_0001", "train/IMG_0001.JPG"),
        ("IMG_0001.png", "train/IMG_0001.JPG"),
        ("14", "train/00014.jpg"),
        ("14.0", "train/00014.jpg"),
        ("er/only.png", "deep/er/only.png"),
        ("z/x/same.jpg", "x/same.jpg"),
        ("same.jpg", None),
        ("z/same.jpg", None),
        ("other/only.png", None),
        ("114", None),
        ("", None),
        ("..", None),
    ],
)
def test_a_row_names_a_picture_as_people_write_it(named: str, file: str | None) -> None:
    join = joined([(named, "red")], FILES)
    assert join.labels == ({file: "red"} if file else {})


def test_a_row_that_names_a_picture_more_exactly_wins() -> None:
    join = joined([("1", "red"), ("001.jpg", "blue"), ("1.0", "blue")], ["001.jpg"])
    assert join.labels == {"001.jpg": "blue"} and join.duplicate_rows == 1
    assert unmatched(join) == [(2, "1", "another row names this picture more exactly")]


def test_leading_zeros_matter_where_they_tell_two_apart() -> None:
    join = joined([("1", "red"), ("01", "blue")], ["01.jpg", "001.jpg"])
    assert join.labels == {"01.jpg": "blue"}
    assert unmatched(join) == [(2, "1", "2 pictures have this name")]


def test_byte_order_mark_of_excel_is_no_part_of_a_column(tmp_path: Path) -> None:
    assert rows(tmp_path, "\ufeffimage,label\r\na.jpg,red\r\n") == [(2, "a.jpg", "red", None)]


def test_quoted_names_keep_commas_newlines_and_quotes(tmp_path: Path) -> None:
    text = 'image,label\n"a, b.jpg","Audi, ""TT"""\n"two\nlines.jpg",red\nc.jpg,blue\n'
    assert [row[1:3] for row in rows(tmp_path, text)] == [
        ("a, b.jpg", 'Audi, "TT"'),
        ("two\nlines.jpg", "red"),
        ("c.jpg", "blue"),
    ]


def test_row_number_is_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    text = 'image,label\n"two\nlines.jpg",red\nb.jpg,blue\n\nc.jpg,green\n'
    assert [(row[0], row[2]) for row in rows(tmp_path, text)] == [(2, "red"), (4, "blue"), (6, "green")]


@pytest.mark.parametrize("text", ['image,label\n"a.jpg,red\n', 'image,label\n"a"b.jpg,red\n'])
def test_broken_quotes_are_refused(tmp_path: Path, text: str) -> None:
    assert "cannot be read as a CSV" in refusal(tmp_path, text)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    path.symlink_to("/no/such/file")


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, r"labels\.csv cannot be read \(No such file or directory\): make it a file"),
        (
            make_link,
            r"labels\.csv, a link to /no/such/file, cannot be read \(No such file or directory\): make",
        ),
        (make_folder, r"labels\.csv is a folder, a device or a pipe: make it a file"),
        (make_endless, r"labels\.csv is a folder, a device or a pipe: make it a file"),
        (os.mkfifo, r"labels\.csv is a folder, a device or a pipe: make it a file"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], what: str) -> None:
    make(tmp_path / "labels.csv")
    with pytest.raises(LookalikeError, match=what):
        read_labels(tmp_path / "labels.csv")


def test_empty_cells_label_nothing_and_are_listed(tmp_path: Path) -> None:
    text = "image,label\n,red\nb.jpg,\nc.jpg\n  ,  \nd.jpg,red\n"
    found = read_labels(write(tmp_path / "labels.csv", text))
    join = join_labels(found, ["b.jpg", "c.jpg", "d.jpg"])
    assert join.labels == {"d.jpg": "red"}
    assert unmatched(join) == [
        (2, "", "names no picture"),
        (3, "b.jpg", "has no label"),
        (4, "c.jpg", "has no label"),
        (5, "", "names no picture"),
    ]
    assert join.unmatched_files == ["b.jpg", "c.jpg"]


def test_unmatched_rows_and_unmatched_files_are_listed() -> None:
    join = joined([("a.jpg", "red"), ("gone.jpg", "blue")], ["a.jpg", "new.jpg"])
    assert join.labels == {"a.jpg": "red"}
    assert unmatched(join) == [(3, "gone.jpg", "no such picture")]
    assert join.unmatched_files == ["new.jpg"]


def test_rows_that_repeat_a_label_are_counted() -> None:
    join = joined(
        [("a.jpg", "red"), ("b.jpg", "blue"), ("a.jpg", "red"), ("./a.jpg", "red")], ["a.jpg", "b.jpg"]
    )
    assert join.labels == {"a.jpg": "red", "b.jpg": "blue"}
    assert (join.duplicate_rows, join.unmatched_rows) == (2, [])


def test_rows_that_contradict_each_other_leave_the_picture_unlabelled() -> None:
    join = joined([("a.jpg", "red"), ("b.jpg", "red"), ("a.jpg", "blue")], ["a.jpg", "b.jpg"])
    assert join.labels == {"b.jpg": "red"}
    assert unmatched(join) == [
        (2, "a.jpg", "contradicts another row"),
        (4, "a.jpg", "contradicts another row"),
    ]
    assert join.unmatched_files == ["a.jpg"]
    assert join.duplicate_rows == 0


@pytest.mark.parametrize("named", ["cars/red/a.jpg", "./cars/red/a.jpg", "cars\\red\\a.jpg", "a.jpg"])
def test_picture_is_named_by_its_path_or_its_bare_name(named: str) -> None:
    assert joined([(named, "red")], ["cars/red/a.jpg", "b.jpg"]).labels == {"cars/red/a.jpg": "red"}


def test_bare_name_of_several_pictures_names_none_of_them() -> None:
    join = joined([("a.jpg", "red"), ("y/a.jpg", "blue")], ["x/a.jpg", "y/a.jpg"])
    assert join.labels == {"y/a.jpg": "blue"}
    assert unmatched(join) == [(2, "a.jpg", "2 pictures have this name")]
    assert join.unmatched_files == ["x/a.jpg"]


def test_path_goes_before_bare_name() -> None:
    assert joined([("a.jpg", "red")], ["a.jpg", "x/a.jpg"]).labels == {"a.jpg": "red"}


@pytest.mark.parametrize(("in_csv", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_match_however_they_are_written(in_csv: Form, on_disk: Form) -> None:
    named, file = (unicodedata.normalize(form, "Citroën/Škoda é.jpg") for form in (in_csv, on_disk))
    assert named != file
    assert joined([(named, "red")], [file]).labels == {file: "red"}


def test_two_pictures_whose_names_differ_in_accents_only_are_not_taken_for_one() -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    join = joined([(composed, "red"), (decomposed, "blue")], [composed, decomposed])
    assert join.labels == {composed: "red", decomposed: "blue"}


def test_class_names_of_stanford_cars() -> None:
    if not CARS_META.is_file():
        pytest.skip(f"no real class names: {CARS_META} is absent")
    names = read_class_names(CARS_META)
    assert list(names) == [str(number) for number in range(1, 197)]
    assert (names["1"], names["196"]) == ("AM General Hummer SUV 2000", "smart fortwo Convertible 2012")


@pytest.mark.parametrize("classes", [["Audi TT", 'Škoda, "red"', "BMW"], ["only one"]])
def test_class_names_are_numbered_from_one(tmp_path: Path, classes: list[str]) -> None:
    file = tmp_path / "meta.mat"
    scipy.io.savemat(file, {"class_names": np.array(classes, object)})
    assert read_class_names(file) == {str(number): name for number, name in enumerate(classes, start=1)}


@pytest.mark.parametrize("kept", [0, 10, 100, 130, 300])
def test_class_names_cut_off_are_refused(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "meta.mat"
    scipy.io.savemat(file, {"class_names": np.array([f"name {n}" for n in range(20)], object)})
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(LookalikeError, match=r"meta\.mat holds no class names"):
        read_class_names(file)


def test_file_that_holds_no_class_names_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "meta.mat"
    with pytest.raises(LookalikeError, match=r"meta\.mat holds no class names"):
        read_class_names(file)
    scipy.io.savemat(file, {"something": 1})
    with pytest.raises(LookalikeError, match=r"meta\.mat holds no class names"):
        read_class_names(file)
    write(file, "<html>not found</html>" * 20)
    with pytest.raises(LookalikeError, match=r"meta\.mat holds no class names"):
        read_class_names(file)


def test_class_names_with_corrupt_compression_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "meta.mat"
    names = np.array([f"name {n}" for n in range(20)], object)
    scipy.io.savemat(file, {"class_names": names}, do_compression=True)
    content = bytearray(file.read_bytes())
    content[-4:] = b"\0\0\0\0"  # the checksum
    file.write_bytes(content)
    with pytest.raises(LookalikeError, match=r"meta\.mat holds no class names"):
        read_class_names(file)
