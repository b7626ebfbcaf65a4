"""``.npz`` files that hold a dataclass of arrays and their format number."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jobs.store.documents import FIRST, check_format
from jobs.store.reading import readable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)


def save_arrays(file: Path, value: DataclassInstance, number: int) -> None:
    """Write every field of ``value`` as an array, and the format's ``number``."""
    arrays: dict[str, Any] = {field.name: getattr(value, field.name) for field in fields(value)}
    with file.open("wb") as opened:
        np.savez(opened, format=np.int64(number), **arrays)


def load_arrays(file: Path, kind: type[T], number: int, remedy: str) -> T:
    """Read what ``save_arrays`` wrote.

    Raises LookalikeError, ending in ``remedy``, if the file is missing, corrupt or of another format.
    """
    with readable(file, remedy), np.load(file, allow_pickle=False) as arrays:
        found = int(arrays["format"]) if "format" in arrays else FIRST
        check_format(file, found, number, remedy)
        return kind(**{field.name: arrays[field.name] for field in fields(kind)})
