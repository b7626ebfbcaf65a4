"""Documents and arrays of a typed shape: what is corrupt or of another format is one sentence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.store.arrays import load_arrays, save_arrays
from jobs.store.documents import read_document, write_document


class Inner(TypedDict):
    number: int


class Shape(TypedDict):
    name: str
    inner: Inner
    share: float
    note: NotRequired[str | None]


VALUE: Shape = {"name": "häuschen", "inner": {"number": 3}, "share": 0.5}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "document.json"
    write_document(file, VALUE, 3)
    assert read_document(file, Shape, 3, "write it again") == VALUE
    assert json.loads(file.read_text())["format"] == 3


def test_a_missing_file_is_left_to_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_document(tmp_path / "none.json", Shape, 1, "write it again")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is corrupt"),
        ("", "is corrupt"),
        ("[1]", "holds no JSON object"),
        ('{"format": 2}', r"corrupt \(name: Field required\)"),
        (
            '{"format": 2, "name": "x", "inner": {"number": "many"}, "share": 0}',
            r"\(inner.number: Input should",
        ),
        ('{"format": 2, "name": "x", "inner": 7, "share": 0}', r"\(inner: Input should be a valid dict"),
        ('{"name": "x"}', "has format 1, but this release reads format 2"),
        ('{"format": 3, "name": "x"}', "has format 3, but this release reads format 2"),
        ('{"format": "two", "name": "x"}', "has format 1, but this release reads format 2"),
        ("\ufffe\x00", "is corrupt"),
    ],
)
def test_anything_else_is_one_sentence_that_ends_in_what_to_do(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "document.json"
    file.write_bytes(text.encode("utf-16") if "\ufffe" in text else text.encode())
    with pytest.raises(LookalikeError, match=sentence) as caught:
        read_document(file, Shape, 2, "write it again")
    assert str(caught.value).startswith(str(file)) and str(caught.value).endswith(": write it again.")
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Arrays:
    one: NDArray[np.float32]
    other: NDArray[np.int64]


MADE = Arrays(np.ones((2, 3), np.float32), np.arange(4))


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    save_arrays(tmp_path / "arrays.npz", MADE, 2)
    read = load_arrays(tmp_path / "arrays.npz", Arrays, 2, "write it again")
    for name in ("one", "other"):
        np.testing.assert_array_equal(getattr(read, name), getattr(MADE, name))
        assert getattr(read, name).dtype == getattr(MADE, name).dtype


def test_arrays_without_a_number_are_of_the_first_format(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", one=MADE.one, other=MADE.other)
    assert load_arrays(tmp_path / "arrays.npz", Arrays, 1, "write it again").other[3] == 3
    with pytest.raises(LookalikeError, match="has format 1, but this release reads format 2"):
        load_arrays(tmp_path / "arrays.npz", Arrays, 2, "write it again")


@pytest.mark.parametrize("fault", ["missing", "cut", "empty", "text", "another", "pickled"])
def test_corrupt_arrays_are_one_sentence(tmp_path: Path, fault: str) -> None:
    file = tmp_path / "arrays.npz"
    save_arrays(file, MADE, 1)
    if fault == "missing":
        file.unlink()
    elif fault == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif fault == "empty":
        file.write_bytes(b"")
    elif fault == "text":
        file.write_text("no arrays")
    elif fault == "another":
        np.savez(file, format=1, one=MADE.one)
    else:
        np.savez(file, format=1, one=np.array([object()]), other=MADE.other)
    with pytest.raises(LookalikeError, match=r"arrays.npz is (missing|corrupt).*: write it again\.$"):
        load_arrays(file, Arrays, 1, "write it again")
