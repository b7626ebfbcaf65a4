"""The folder layout of Stanford Cars on Kaggle, which the drawn sample shares."""

from __future__ import annotations

from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.intake.source import Source, Split

TRAIN_PICTURES = Path("cars_train/cars_train")
TEST_PICTURES = Path("cars_test/cars_test")
TRAIN_LABELS = Path("cardatasettrain.csv")
CLASS_NAMES = Path("car_devkit/devkit/cars_meta.mat")
ANNOTATIONS = Path("cars_annos.mat")
"""In editions without the dev kit; it also holds the class names."""


def read_layout(name: str, directory: Path, labels: Path, with_test: bool) -> Source:
    """Describe ``directory`` as a source; ``labels`` is the train split's label CSV.

    The test split has no labels. Its file names repeat those of the train split,
    which is why labels are joined within a split.

    Raises LookalikeError if a part of the layout is missing.
    """
    needed = [("train", TRAIN_PICTURES)] + ([("test", TEST_PICTURES)] if with_test else [])
    for split, pictures in needed:
        if not (directory / pictures).is_dir():
            raise LookalikeError(
                f"{directory} lacks the folder {pictures} of the {split} split: "
                "give a folder in the layout of Kaggle's stanford-cars-dataset."
            )
    class_names = directory / CLASS_NAMES
    if not class_names.is_file() and (directory / ANNOTATIONS).is_file():
        class_names = directory / ANNOTATIONS
    for file in (labels, class_names):
        if not file.is_file():
            raise LookalikeError(f"{file} is missing: copy it there from the data set.")
    train = Split("train", str(directory / TRAIN_PICTURES), str(labels))
    test = Split("test", str(directory / TEST_PICTURES), label_rule="none")
    return Source(name, (train, test) if with_test else (train,), class_names=str(class_names))
