"""The drawn sample: repeatable, varied, and with the oddities it promises."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image, ImageOps

from jobs.intake.kaggle_layout import CLASS_NAMES, TRAIN_LABELS, TRAIN_PICTURES
from jobs.intake.sample import draw_sample
from jobs.intake.sample.kinds import KINDS
from jobs.intake.sample.oddities import BROKEN, MISSING, UNLABELLED, UNUSUAL, write_jpeg
from jobs.intake.sample.picture import draw_picture
from jobs.intake.source import Source


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Source]:
    directory = tmp_path_factory.mktemp("sources") / "sample"
    return directory, draw_sample(directory)


@pytest.fixture(scope="module")
def labels(sample: tuple[Path, Source]) -> list[dict[str, str]]:
    with open(sample[0] / TRAIN_LABELS, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _path(directory: Path, number: int) -> Path:
    return directory / TRAIN_PICTURES / f"{number:05d}.jpg"


@pytest.fixture(scope="module")
def good(sample: tuple[Path, Source]) -> dict[str, Image.Image]:
    """Pictures as they are seen, by file name."""
    pictures = {}
    for path in sorted((sample[0] / TRAIN_PICTURES).iterdir()):
        if int(path.stem) not in BROKEN:
            with Image.open(path) as picture:
                pictures[path.name] = ImageOps.exif_transpose(picture)
    return pictures


@pytest.mark.parametrize("number", range(1, len(KINDS) + 1))
def test_same_seed_draws_the_same_bytes(sample: tuple[Path, Source], tmp_path: Path, number: int) -> None:
    again = tmp_path / "again.jpg"
    write_jpeg(draw_picture(0, number).image, again)
    assert again.read_bytes() == _path(sample[0], number).read_bytes()


def test_another_seed_draws_other_pictures() -> None:
    assert draw_picture(0, 1).image.tobytes() != draw_picture(1, 1).image.tobytes()


def test_pictures_are_many_and_none_is_repeated(good: dict[str, Image.Image]) -> None:
    assert len(good) >= 300
    assert len({picture.tobytes() for picture in good.values()}) == len(good)


def test_sizes_and_aspect_ratios_vary(good: dict[str, Image.Image]) -> None:
    sizes = [picture.size for picture in good.values()]
    ratios = [width / height for width, height in sizes]
    assert len(set(sizes)) > 100
    assert min(ratios) < 0.9 and any(0.95 < ratio < 1.05 for ratio in ratios) and max(ratios) > 1.7
    assert min(width for width, _ in sizes) < 260 and max(width for width, _ in sizes) > 740


def test_label_columns_are_those_of_the_real_file(labels: list[dict[str, str]]) -> None:
    assert list(labels[0]) == ["", "x1", "y1", "x2", "y2", "Class", "image"]


def test_boxes_lie_inside_their_pictures(good: dict[str, Image.Image], labels: list[dict[str, str]]) -> None:
    for row in labels:
        if picture := good.get(row["image"]):
            x1, y1, x2, y2 = (int(row[column]) for column in ("x1", "y1", "x2", "y2"))
            assert 0 <= x1 < x2 <= picture.width, row
            assert 0 <= y1 < y2 <= picture.height, row


def test_every_kind_has_its_share_from_the_start_on(labels: list[dict[str, str]]) -> None:
    classes = [int(row["Class"]) for row in labels]
    assert len(KINDS) >= 12
    assert set(classes) == set(range(1, len(KINDS) + 1))
    assert set(classes[: len(KINDS)]) == set(classes)
    assert min(Counter(classes).values()) >= 24


def test_class_names_read_back(sample: tuple[Path, Source]) -> None:
    names = scipy.io.loadmat(sample[0] / CLASS_NAMES, squeeze_me=True)["class_names"]
    assert [str(name) for name in names] == [kind.name for kind in KINDS]


@pytest.mark.parametrize("number", BROKEN)
def test_broken_files_do_not_load(
    sample: tuple[Path, Source], labels: list[dict[str, str]], number: int
) -> None:
    path = _path(sample[0], number)
    with pytest.raises((OSError, Image.DecompressionBombError)), Image.open(path) as picture:
        picture.load()
    assert path.name in {row["image"] for row in labels}


def test_both_sides_have_something_unmatched(
    sample: tuple[Path, Source], labels: list[dict[str, str]]
) -> None:
    labelled = {row["image"] for row in labels}
    present = {path.name for path in (sample[0] / TRAIN_PICTURES).iterdir()}
    assert labelled - present == {f"{number:05d}.jpg" for number in MISSING}
    assert present - labelled == {f"{number:05d}.jpg" for number in UNLABELLED}


def test_unusual_encodings_are_what_they_say(sample: tuple[Path, Source]) -> None:
    seen = set()
    for number in UNUSUAL:
        with Image.open(_path(sample[0], number)) as picture:
            seen.add((picture.format, picture.mode, picture.getexif().get(0x0112)))
    assert seen == {
        ("PNG", "RGB", None),
        ("JPEG", "L", None),
        ("JPEG", "CMYK", None),
        ("JPEG", "RGB", 6),
    }


def test_turned_picture_is_upright_once_its_orientation_is_applied(
    sample: tuple[Path, Source],
) -> None:
    number = next(number for number, write in UNUSUAL.items() if write.__name__ == "_turned")
    with Image.open(_path(sample[0], number)) as picture:
        seen = ImageOps.exif_transpose(picture)
    drawn = draw_picture(0, number).image
    assert seen.size == drawn.size
    difference = np.asarray(seen, dtype=int) - np.asarray(drawn, dtype=int)
    assert np.abs(difference).mean() < 5


def test_source_describes_one_labelled_split(sample: tuple[Path, Source]) -> None:
    directory, source = sample
    (split,) = source.splits
    assert (source.name, split.name, split.label_rule) == ("sample", "train", "csv")
    assert split.pictures == str(directory / TRAIN_PICTURES)
    assert split.labels == str(directory / TRAIN_LABELS)


def test_directory_that_exists_is_taken_as_it_is(sample: tuple[Path, Source]) -> None:
    directory, source = sample
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    assert draw_sample(directory, seed=1) == source
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_interrupted_drawing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, number: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobs.intake.sample.draw_picture", fail)
    with pytest.raises(KeyboardInterrupt):
        draw_sample(tmp_path / "sample")
    assert list(tmp_path.iterdir()) == []
