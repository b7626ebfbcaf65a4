"""Which folder of a picture is its class."""

from __future__ import annotations

import pytest

from jobs.intake.class_folders import class_folders

CASES = {
    "class folders": {"cat/1.jpg": "cat", "dog/1.jpg": "dog", "1.jpg": None},
    "one class": {"cat/1.jpg": "cat", "cat/2.jpg": "cat", "1.jpg": None},
    "splits": {
        "train/cat/1.jpg": "cat",
        "val/cat/2.jpg": "cat",
        "val/dog/1.jpg": "dog",
        "train/loose.jpg": None,
    },
    "splits in another case": {"Train/cat/1.jpg": "cat", "TEST/dog/1.jpg": "dog"},
    "folders in class folders": {"n01/images/1.jpg": "n01", "n02/images/1.jpg": "n02"},
    "splits of such": {"train/n01/images/1.jpg": "n01", "train/n02/images/1.jpg": "n02"},
    "a split without classes": {
        "train/n01/images/0.jpg": "n01",
        "train/n02/images/0.jpg": "n02",
        "val/images/0.jpg": None,
        "test/images/1.jpg": None,
    },
    "a split without classes, unpacked, with a class kept otherwise": {
        "tiny/train/n01/images/0.jpg": "n01",
        "tiny/train/n02/images/0.jpg": "n02",
        "tiny/train/n03/0.jpg": "n03",
        "tiny/val/images/0.jpg": None,
    },
    "a split whose classes lie deeper": {
        "train/n01/images/0.jpg": "n01",
        "train/n02/images/0.jpg": "n02",
        "val/images/n01/0.jpg": "n01",
        "val/images/n02/0.jpg": "n02",
    },
    "a class that is called as a folder below another": {
        "train/cat/1.jpg": "cat",
        "train/dog/cat/1.jpg": "dog",
        "train/owl/1.jpg": "owl",
        "val/cat/1.jpg": "cat",
    },
    "an unpacked archive": {"cars/cars/audi/1.jpg": "audi", "cars/cars/bmw/1.jpg": "bmw", "cover.jpg": None},
    "an unpacked archive with splits": {"cars/train/audi/1.jpg": "audi", "cars/test/bmw/1.jpg": "bmw"},
    "deeper below some": {"cat/1.jpg": "cat", "cat/old/2.jpg": "cat", "dog/1.jpg": "dog"},
    "a class called test": {"test/1.jpg": "test", "cat/1.jpg": "cat"},
    "loose in the only folder": {"cars/audi/1.jpg": "cars", "cars/1.jpg": "cars"},
    "splits alone": {"train/1.jpg": None, "val/2.jpg": None},
    "no folders": {"1.jpg": None},
    "nothing": {},
}


@pytest.mark.parametrize("files", CASES.values(), ids=CASES)
def test_the_class_is_the_first_folder_that_tells_classes_apart(files: dict[str, str | None]) -> None:
    assert class_folders(files) == {file: name for file, name in files.items() if name}
