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
    if missing := missing_part(directory, with_test):
        raise LookalikeError(
            f"{directory} lacks {missing}: give a folder in the layout of Kaggle's stanford-cars-dataset."
        )
    if not labels.is_file():
        raise LookalikeError(f"{labels} is missing: copy it there from the data set.")
    train = Split("train", str(directory / TRAIN_PICTURES), str(labels))
    test = Split("test", str(directory / TEST_PICTURES), label_rule="none")
    return Source(name, (train, test) if with_test else (train,), class_names=str(_class_names(directory)))


def missing_part(directory: Path, with_test: bool) -> Path | None:
    """A part of the layout that ``directory`` lacks, relative to it; labels are not looked for."""
    for pictures in (TRAIN_PICTURES, TEST_PICTURES)[: 2 if with_test else 1]:
        if not (directory / pictures).is_dir():
            return pictures
    return None if _class_names(directory).is_file() else CLASS_NAMES


def _class_names(directory: Path) -> Path:
    named = directory / CLASS_NAMES
    return named if named.is_file() else directory / ANNOTATIONS
