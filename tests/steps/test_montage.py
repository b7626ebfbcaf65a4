"""The montage and the table of an answer, whatever pictures are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from jobs.base.errors import LookalikeError
from jobs.drawing.palette import SAME, WRONG
from jobs.drawing.table import table
from jobs.embedding.backbones import RESNET18
from jobs.embedding.copies import copy_of
from jobs.intake.look import content_id
from jobs.montage import draw_montage
from jobs.store.answers import Answer, Caption, Neighbour, read_answer, write_answer
from jobs.store.embeddings import ModelDescription
from jobs.store.root import DataRoot, resized_file
from tests.support.pictures import encoded
from tests.support.synthetic import RESIZED, model_of

DESCRIBED: ModelDescription = {**model_of(), "weights": "imagenet", "runtimes": []}


def picture(number: int, name: str | None) -> Caption:
    path = f"/pictures/{number}\n'\"<b>.jpg"
    return {"id": f"{number:032x}", "path": path, "label": name, "class_name": name}


def answer(root: DataRoot, names: list[str | None], query: str | None = "Coupe", **more: Any) -> Path:
    """Write an answer whose query is of class ``query`` and whose neighbours are of ``names``."""
    folder = root.queries / "run"
    written = Answer(
        query=picture(0, query),
        k=len(names),
        method="stock",
        note=None,
        overlap=None,
        neighbours=[
            Neighbour(**picture(n, name), rank=n, distance=0.1 * n) for n, name in enumerate(names, start=1)
        ],
        index={
            "version": "0" * 16,
            "images": 1000,
            "lsh": {"num_hash_tables": 1, "bucket_length": 1.0, "seed": 0, "reduced_dimension": None},
            "recall": {"k": 5, "target": 0.95, "measured": 1.0, "lower_bound": 1.0, "queries": 0},
            "candidates_fraction": 1.0,
        },
        model=DESCRIBED,
    )
    for number in range(len(names) + 1):
        file = resized_file(root, RESIZED, f"{number:032x}")
        file.parent.mkdir(parents=True, exist_ok=True)
        # Of another size than its tile.
        Image.new("RGB", (32, 32), (20 * number, 90, 160)).save(file)
    write_answer(folder, {**written, **more})  # type: ignore[typeddict-item]
    return folder


def drawn(root: DataRoot, folder: Path) -> Image.Image:
    with Image.open(draw_montage(root, folder)) as image:
        return image.convert("RGB")


def count(image: Image.Image, colour: str, within: int = 0) -> int:
    """Pixels of ``colour`` (#rrggbb), each channel at most ``within`` off."""
    wanted = np.array(ImageColor.getrgb(colour), int)
    return int((np.abs(np.asarray(image, int) - wanted) <= within).all(axis=2).sum())


def test_every_tile_shows_its_picture(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    image = drawn(root, answer(root, ["Van"] * 5))
    for number in range(6):
        # JPEG keeps a flat colour to within a step; badge and frame cover less than a tenth.
        assert count(image, f"#{20 * number:02x}5aa0", within=3) > 0.9 * 224 * 224


def test_neighbours_of_the_same_class_stand_out(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    assert count(drawn(root, answer(root, ["Van", "Bus", "Van"])), SAME) == 0
    one = count(drawn(root, answer(root, ["Van", "Coupe", "Van"])), SAME)
    assert count(drawn(root, answer(root, ["Coupe", "Coupe", "Van"])), SAME) > 1.5 * one > 0


def test_unlabelled_pictures_are_of_no_common_class(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    folder = answer(root, [None, None], query=None)
    assert count(drawn(root, folder), SAME) == 0
    assert not any("same" in line for line in table(read_answer(folder)))


@pytest.mark.parametrize("neighbours", [1, 5, 6, 12])
def test_any_number_of_neighbours_is_drawn(tmp_path: Path, neighbours: int) -> None:
    root = DataRoot(tmp_path)
    folder = answer(root, ["Van"] * neighbours)
    image = drawn(root, folder)
    assert image.width == 1560
    rows = max(1, -(-neighbours // 5))
    assert image.height == 72 + rows * 344 + 52
    assert len(table(read_answer(folder))) == 2 + neighbours


def test_a_copy_that_is_no_picture_is_one_sentence(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    folder = answer(root, ["Van"] * 2)
    resized_file(root, RESIZED, f"{1:032x}").write_bytes(b"no picture")
    with pytest.raises(LookalikeError, match=r"jpg is corrupt \(.*\): delete it and run the step montage"):
        draw_montage(root, folder)
    assert not (folder / "montage.png").exists()


def test_a_copy_that_was_removed_is_made_again(tmp_path: Path) -> None:
    root, side = DataRoot(tmp_path), RESNET18.side
    content = encoded(Image.new("RGB", (300, 200), (200, 30, 60)), "PNG")
    (tmp_path / "mine.png").write_bytes(content)
    remade = copy_of(root, DESCRIBED, content_id(content), str(tmp_path / "mine.png"))
    assert remade == resized_file(root, RESIZED, content_id(content))
    with Image.open(remade) as copy:
        assert copy.size == (side, side)
        assert np.abs(np.asarray(copy, int) - (200, 30, 60)).max() < 4


@pytest.mark.parametrize(
    ("now", "reason"), [(None, "No such file"), (b"", "another picture"), (b"other", "another picture")]
)
def test_a_copy_whose_picture_is_gone_too_is_one_sentence(
    tmp_path: Path, now: bytes | None, reason: str
) -> None:
    root, file = DataRoot(tmp_path), tmp_path / "mine.jpg"
    if now is not None:
        file.write_bytes(now)
    sentence = rf"jpg is missing and can't be made again from '.*mine.jpg' \(.*{reason}.*\): run the DAG"
    with pytest.raises(LookalikeError, match=sentence):
        copy_of(root, DESCRIBED, f"{1:032x}", str(file))
    folder = answer(root, ["Van"] * 2)
    resized_file(root, RESIZED, f"{1:032x}").unlink()
    with pytest.raises(LookalikeError, match="is missing and can't be made again"):
        draw_montage(root, folder)
    assert not (folder / "montage.png").exists()


def test_long_and_hostile_names_keep_their_place(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    hostile = "Ferrari 458 Italia\n\x1b[31mConvertible\t" + "very long " * 30 + "кабриолет"
    folder = answer(root, [hostile] * 5, query=hostile)
    assert drawn(root, folder).size == drawn(root, answer(root, ["Van"] * 5)).size
    for line in table(read_answer(answer(root, [hostile]))):
        assert line.isprintable()
        assert len(line) < 160


def test_random_weights_and_notes_are_written_on_the_montage(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    warning = WRONG
    assert count(drawn(root, answer(root, ["Van"])), warning) == 0
    random = {**model_of(), "weights": "random", "runtimes": []}
    assert count(drawn(root, answer(root, ["Van"], model=random)), warning) > 100
    noted = answer(root, ["Van"], note="The index holds 1 other picture.")
    assert count(drawn(root, noted), warning) > 100
    assert table(read_answer(noted))[-1] == "The index holds 1 other picture."


def test_a_picture_from_outside_the_index_is_drawn(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    folder = answer(root, ["Van"])
    written = read_answer(folder)
    written["query"]["id"] = None
    write_answer(folder, written)
    Image.new("RGB", (224, 224), (255, 0, 255)).save(folder / "query.jpg", quality=95)
    image = drawn(root, folder)
    assert count(image, "#ff00ff", within=5) > 40_000


def test_a_missing_answer_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"holds no neighbours.json: run the step query first"):
        draw_montage(DataRoot(tmp_path), tmp_path)
