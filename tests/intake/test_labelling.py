"""What is said of how labels were found."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.intake.labelling import label_pictures
from jobs.intake.source import Split

FOLDERS = Split("all", "/pictures", label_rule="class_folders")


def labels_of(file: Path, *rows: str, rule: str = "csv") -> Split:
    file.write_text("\n".join(("image,label", *rows)))
    return Split("all", str(file.parent), str(file), rule)


def test_what_was_taken_for_classes_is_shown() -> None:
    join = label_pictures(FOLDERS, [f"{name}/1.jpg" for name in "gfedcba"], {}, 0)
    assert join.told == ["7 classes by folders: a, b, c, d, e, ..."]


def test_one_class_for_everything_is_said() -> None:
    join = label_pictures(FOLDERS, ["photos/1.jpg", "photos/2.jpg", "top.jpg"], {}, 0)
    assert join.told == ["all pictures in folders are of one class, photos"]


def test_classes_in_other_forms_of_accents_are_one_and_in_other_cases_are_said() -> None:
    join = label_pictures(
        FOLDERS, ["Caf\u00e9/1.jpg", "Cafe\u0301/2.jpg", "Ca\u200bf\u00e9/3.jpg", "caf\u00e9/4.jpg"], {}, 0
    )
    assert list(join.labels.values()) == ["Caf\u00e9"] * 3 + ["caf\u00e9"]
    assert join.told[1] == "classes that differ by upper and lower case alone: Caf\u00e9 and caf\u00e9"


def test_pictures_that_no_row_names_are_said(tmp_path: Path) -> None:
    split = labels_of(tmp_path / "labels.csv", "1.jpg,cat")
    pictures = ["1.jpg", "2.jpg", "3.jpg"]
    assert label_pictures(split, pictures, {}, 0.5).told == [
        f"2 of 3 pictures have no label, '2.jpg' for one: no row of {tmp_path}/labels.csv gives it any"
    ]


@pytest.mark.parametrize("written", ["2", "2.0", "2.00", " 2 "])
def test_a_label_is_a_class_however_a_spreadsheet_writes_its_number(tmp_path: Path, written: str) -> None:
    split = labels_of(tmp_path / "labels.csv", f"1.jpg,{written}", "2.jpg,1")
    assert label_pictures(split, ["1.jpg", "2.jpg"], {"1": "Audi", "2": "BMW"}, 0).labels["1.jpg"] == "2"


def test_labels_that_are_no_classes_stop_the_run(tmp_path: Path) -> None:
    split = labels_of(tmp_path / "labels.csv", "1.jpg,car-a", "2.jpg,car-b")
    with pytest.raises(LookalikeError, match=r"None of the 2 labels of .* is a class of 2, 'car-a' for one"):
        label_pictures(split, ["1.jpg", "2.jpg"], {"1": "Audi", "2": "BMW"}, 0)
