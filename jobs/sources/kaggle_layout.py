"""The folder layout of Stanford Cars' Kaggle edition, which the drawn sample shares."""

from __future__ import annotations

from pathlib import Path

from jobs.errors import LookalikeError
from jobs.sources import Source, Split

TRAIN_PICTURES = Path("cars_train/cars_train")
TEST_PICTURES = Path("cars_test/cars_test")
TRAIN_LABELS = Path("cardatasettrain.csv")
CLASS_NAMES = Path("car_devkit/devkit/cars_meta.mat")


def read_layout(name: str, directory: Path, labels: Path, with_test: bool) -> Source:
    """Describe ``directory`` as a source; ``labels`` is the train split's label CSV.

    The test split has no labels. Its file names repeat those of the train split,
    which is why labels are joined within a split.

    Raises LookalikeError where the layout lacks a part that is asked for.
    """
    asked = [("train", TRAIN_PICTURES)] + ([("test", TEST_PICTURES)] if with_test else [])
    for split, pictures in asked:
        if not (directory / pictures).is_dir():
            raise LookalikeError(
                f"{directory} lacks the folder {pictures} of the {split} split: "
                "give a folder in the layout of Kaggle's stanford-cars-dataset."
            )
    for file in (labels, directory / CLASS_NAMES):
        if not file.is_file():
            raise LookalikeError(f"{file} is missing: put the file there, or let it be downloaded.")
    train = Split("train", str(directory / TRAIN_PICTURES), str(labels))
    test = Split("test", str(directory / TEST_PICTURES), label_rule="none")
    return Source(
        name, (train, test) if with_test else (train,), class_names=str(directory / CLASS_NAMES)
    )
