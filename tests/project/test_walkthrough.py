"""docs/walkthrough.md: its twelve steps, typed one after the other as a reader types them.

A step that fails, or whose result is wrong, fails every step after it.
"""

from __future__ import annotations

import code
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from pyspark.sql import DataFrame, SparkSession
from torchvision.models import ResNet18_Weights

from jobs.intake.kaggle_layout import TRAIN_PICTURES
from jobs.intake.sample import VERSION
from jobs.intake.sample.oddities import BROKEN, WRITERS, write_jpeg
from jobs.intake.sample.picture import draw_picture
from jobs.lsh.sketch import BITS
from jobs.store.root import PROJECT

DOC = PROJECT / "docs" / "walkthrough.md"
DRAWN = sorted({*range(1, 41), *BROKEN})
"""Numbers of the sample: whole pictures, unusual ones and all that are broken."""

Names = dict[str, Any]


class Step(NamedTuple):
    number: int
    title: str
    text: str
    """All of it, the block included."""

    @property
    def blocks(self) -> list[str]:
        return re.findall(r"^```python\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)


pytestmark = pytest.mark.slow  # Spark


def _sections() -> tuple[Step, list[Step]]:
    first, *rest = re.split(r"^## ", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)
    steps = []
    for text in rest:
        number, title = re.match(r"(\d+)\. (.+)\n", text).groups()  # type: ignore[union-attr]  # or collecting fails
        steps.append(Step(int(number), title, text))
    return Step(0, "set-up", first), steps


SET_UP, STEPS = _sections()
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)[^)]*\)", DOC.read_text(encoding="utf-8"))))


class Prompt(code.InteractiveConsole):
    """Python's prompt, line by line: a blank line ends an indented block. What is wrong is raised."""

    def runcode(self, code: Any) -> None:
        exec(code, self.locals)  # noqa: S102 - the document's own code

    def showsyntaxerror(self, *_: Any, **__: Any) -> None:
        raise

    def type(self, block: str) -> None:
        for line in block.splitlines():
            more = self.push(line)
        assert not more, "the block ends amid a statement: the prompt waits for a blank line"


class Session:
    """A reader's Python session that has got so far."""

    def __init__(self, pictures: Path, made: Path) -> None:
        self.names: Names = {}
        self.prompt = Prompt(self.names)
        self.done, self.failed = 0, ""
        (block,) = SET_UP.blocks
        self.prompt.type(block)
        self.chosen = {name: self.names[name] for name in ("pictures", "made", "weights")}
        self.names |= {"pictures": pictures, "made": made, "weights": None}

    def go_to(self, number: int) -> None:
        while self.done < number:
            if self.failed:
                pytest.fail(f"step {self.failed} failed before")
            step = STEPS[self.done]
            self.failed = f"{step.number}. {step.title}"
            (block,) = step.blocks
            self.prompt.type(block)
            CHECKS[self.done](self.names)
            self.done, self.failed = self.done + 1, ""


@pytest.fixture(scope="module")
def session(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Session:
    pictures, made = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("made")
    for number in DRAWN:
        WRITERS.get(number, write_jpeg)(draw_picture(0, number).image, pictures / f"{number:05d}.jpg")
    return Session(pictures, made)


def _is_resized(names: Names) -> None:
    with Image.open(names["copy"]) as copy:
        copy.load()
        assert (copy.format, copy.size, copy.mode) == ("JPEG", (224, 224), "RGB")
    assert names["copy"].is_relative_to(names["made"])


def _is_a_vector(names: Names) -> None:
    vector = names["vector"]
    assert (vector.shape, vector.dtype) == ((512,), np.float32)
    assert np.isfinite(vector).all() and vector.std() > 0
    assert np.array_equal(names["embed"](names["copy"]), vector)
    # Random weights are the same ones each time.
    assert np.array_equal(names["Embedder"](None)(names["copy"]), vector)


def _are_all_embedded(names: Names) -> None:
    whole = [f"{number:05d}.jpg" for number in DRAWN if number not in BROKEN]
    assert names["images"] == whole
    assert [reason.partition(":")[0] for reason in names["skipped"]] == [f"{n:05d}.jpg" for n in BROKEN]
    assert names["vectors"].shape == (len(whole), 512)
    assert names["vectors"].dtype == np.float32
    assert len(np.unique(names["vectors"], axis=0)) == len(whole)
    assert np.array_equal(names["vectors"][0], names["vector"])


def _csv_is_exact(names: Names) -> None:
    file, vectors = names["made"] / "embeddings.csv", names["vectors"]
    values = pd.read_csv(file, dtype=dict.fromkeys(names["columns"], np.float32))
    assert list(values["image"]) == names["images"]
    assert np.array_equal(values[names["columns"]].to_numpy(), vectors)
    texts = pd.read_csv(file, dtype=str)[names["columns"]].to_numpy()
    assert (texts == vectors.astype(str)).all(), "not the shortest decimals"


def _frame_is_whole(names: Names) -> None:
    frame: DataFrame = names["frame"]
    assert frame.columns == ["image", *names["columns"]]
    assert {kind for name, kind in frame.dtypes if name != "image"} == {"float"}
    assert frame.count() == len(names["images"])


def _vectors_are_assembled(names: Names) -> None:
    assert names["assembled"].columns == ["image", "vector"]
    rows = _by_image(names["assembled"], "vector")
    assert {row.size for row in rows.values()} == {512}
    assert np.array_equal([rows[image].toArray() for image in names["images"]], names["vectors"])


def _saved_model_hashes_alike(names: Names) -> None:
    fitted, model = names["fitted"], names["model"]
    assert model is not fitted and (names["made"] / "model").is_dir()
    assert model.getBucketLength() == fitted.getBucketLength() > 0
    before, after = (_hashes(one.transform(names["assembled"])) for one in (fitted, model))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[image], after[image]) for image in before)


def _hashes_are_floors(names: Names) -> None:
    model, hashes = names["model"], _hashes(names["hashed"])
    found = np.array([hashes[image] for image in names["images"]])
    assert found.shape == (len(names["images"]), model.getNumHashTables())
    planes = model._call_java("randMatrix").toArray()
    scaled = names["vectors"].astype(float) @ planes.T / model.getBucketLength()
    clear = np.abs(scaled - np.round(scaled)) > 1e-9
    assert (found == np.floor(scaled))[clear].all()
    assert all(len(np.unique(table)) > 1 for table in found.T), "a table has one bucket for all"


def _is_drawn(names: Names) -> None:
    assert names["query"] in names["images"]


def _is_its_vector(names: Names) -> None:
    row = names["images"].index(names["query"])
    assert np.array_equal(names["vector"], names["vectors"][row])
    assert np.array_equal(names["key"].toArray(), names["vectors"][row])


def _are_nearest_that_share_a_bucket(names: Names) -> None:
    images, query, hashes = names["images"], names["query"], _hashes(names["hashed"])
    differences = names["vectors"].astype(float) - names["vector"].astype(float)
    distances = dict(zip(images, np.linalg.norm(differences, axis=1), strict=True))
    compared = [image for image in images if image != query and (hashes[image] == hashes[query]).any()]
    expected = sorted(compared, key=distances.__getitem__)[:5]
    assert [image for image, _ in names["neighbours"]] == expected
    assert len(expected) == 5
    found = [distance for _, distance in names["neighbours"]]
    assert found == pytest.approx([distances[image] for image in expected])
    # "most of them" and "the rest", which is not nothing.
    assert len(images) / 2 < len(compared) < len(images) - 1


def _montage_shows_them(names: Names) -> None:
    with Image.open(names["made"] / "montage.png") as montage:
        assert (montage.format, montage.size) == ("PNG", (20 + 6 * 244, 300))
        shown = [names["query"], *(image for image, _ in names["neighbours"])]
        for place, image in enumerate(shown):
            left = 20 + 244 * place
            with Image.open(names["copies"] / image) as copy:
                assert montage.crop((left, 20, left + 224, 244)).tobytes() == copy.tobytes()
            caption = np.asarray(montage.crop((left, 250, left + 224, 300)))
            assert caption.min() < 128, "no caption"


CHECKS: list[Callable[[Names], None]] = [
    _is_resized,
    _is_a_vector,
    _are_all_embedded,
    _csv_is_exact,
    _frame_is_whole,
    _vectors_are_assembled,
    _saved_model_hashes_alike,
    _hashes_are_floors,
    _is_drawn,
    _is_its_vector,
    _are_nearest_that_share_a_bucket,
    _montage_shows_them,
]


def _by_image(frame: DataFrame, column: str) -> dict[str, Any]:
    return {row["image"]: row[column] for row in frame.select("image", column).collect()}


def _hashes(frame: DataFrame) -> dict[str, NDArray[np.float64]]:
    """Image -> (tables,)"""
    return {image: np.concatenate(one) for image, one in _by_image(frame, "hashes").items()}


def test_there_are_twelve_steps_with_one_block_each() -> None:
    assert [step.number for step in STEPS] == list(range(1, 13))
    assert [len(step.blocks) for step in STEPS] == [1] * 12
    assert len(SET_UP.blocks) == 1
    assert len(CHECKS) == 12


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.number}. {step.title}")
def test_step(session: Session, step: Step) -> None:
    session.go_to(step.number)


def test_set_up_names_the_sample_and_the_weights(session: Session) -> None:
    sample = Path("data", "sources", f"sample-{VERSION}-0", TRAIN_PICTURES)
    chosen = {"pictures": sample, "made": Path("data/walkthrough"), "weights": ResNet18_Weights.DEFAULT}
    assert session.chosen == chosen


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.number}. {step.title}")
def test_each_step_says_what_lookalike_does(step: Step) -> None:
    told = step.text.rpartition("```\n")[2]
    assert "**What Lookalike does instead, and why.** " in told
    assert "](../jobs/" in told


def test_hashes_are_packed_as_it_says() -> None:
    assert f"to {BITS} bits" in STEPS[7].text


@pytest.mark.parametrize("link", LINKS)
def test_link_leads_somewhere(link: str) -> None:
    assert (DOC.parent / link).is_file()
