"""A sample the project draws itself: labelled pictures of cars, for a first run without downloads.

The pictures come in the layout of ``kaggle_layout``, and with what real
collections have: broken files, unusual encodings, a picture without a label and
a label without a picture (see ``oddities``).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from scipy.io import savemat

from jobs.base.atomic import staged_directory
from jobs.intake.kaggle_layout import CLASS_NAMES, TRAIN_LABELS, TRAIN_PICTURES, read_layout
from jobs.intake.sample.kinds import KINDS
from jobs.intake.sample.oddities import UNLABELLED, WRITERS, write_jpeg
from jobs.intake.sample.picture import draw_picture
from jobs.intake.source import Source

VERSION = 1
"""Names the drawings of a seed; raised whenever any of them changes."""

COUNT = 25 * len(KINDS)
"""Numbers drawn; a few of them become broken files."""


def draw_sample(directory: Path, seed: int = 0) -> Source:
    """Draw the sample of ``seed`` into ``directory``; an existing one is used.

    Label boxes are pixels of the picture as it is seen: EXIF orientation applied.
    """
    if not directory.exists():
        with staged_directory(directory) as staging:
            _draw_all(staging, seed)
    return read_layout("sample", directory, directory / TRAIN_LABELS, with_test=False)


def _draw_all(directory: Path, seed: int) -> None:
    pictures = directory / TRAIN_PICTURES
    pictures.mkdir(parents=True)
    with open(directory / TRAIN_LABELS, "w", encoding="utf-8", newline="") as file:
        labels = csv.writer(file, lineterminator="\n")
        labels.writerow(("", "x1", "y1", "x2", "y2", "Class", "image"))
        for number in range(1, COUNT + 1):
            drawing = draw_picture(seed, number)
            name = f"{number:05d}.jpg"
            WRITERS.get(number, write_jpeg)(drawing.image, pictures / name)
            if number not in UNLABELLED:
                labels.writerow((number - 1, *drawing.box, drawing.kind + 1, name))
    _write_class_names(directory / CLASS_NAMES)


def _write_class_names(path: Path) -> None:
    buffer = io.BytesIO()
    savemat(buffer, {"class_names": np.array([[kind.name for kind in KINDS]], dtype=object)})
    # The format's first 116 bytes are free text, where savemat puts the time:
    # without it the same seed gives the same file.
    path.parent.mkdir(parents=True)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])
