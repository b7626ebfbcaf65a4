"""JSON files of a typed shape, each with its format number.

A file is ``{"format": number, ...}``. The shape is a ``TypedDict``; what is read is checked against it, so
that readers can rely on every key. A format that changes gets the next number, and files with another
number are refused, not guessed at. Files without a number have format 1: release 0.1 wrote none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from jobs.base.atomic import write_json
from jobs.base.errors import LookalikeError
from jobs.store.reading import readable

T = TypeVar("T")

FIRST = 1
"""The format of files without a number."""


def read_document(file: Path, shape: type[T], number: int, remedy: str) -> T:
    """Read ``file`` as a ``shape`` of format ``number``.

    ``remedy`` ends the sentence of every error: what to do about it.

    Raises FileNotFoundError if there is none, LookalikeError if it is corrupt or of another format.
    """
    if not os.path.lexists(file):
        raise FileNotFoundError(file)
    with readable(file, remedy):
        value = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    if not isinstance(value, dict):
        raise LookalikeError(f"{file} is corrupt (it holds no JSON object): {remedy}.")
    found = value.pop("format", FIRST)
    # Release 0.1's settings had a param of this name.
    check_format(file, found if isinstance(found, int) else FIRST, number, remedy)
    try:
        shaped: Any = shape  # mypy takes a type of T for unhashable
        document: T = _adapter(shaped).validate_python(value)
        return document
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise LookalikeError(f"{file} is corrupt ({where}: {first['msg']}): {remedy}.") from error


def write_document(file: Path, value: Mapping[str, Any], number: int) -> None:
    """Replace ``file`` by ``value`` and its format ``number`` in one step."""
    write_json(file, {"format": number, **value})


def check_format(file: Path, found: int, number: int, remedy: str) -> None:
    """Raises LookalikeError if ``found`` is not the format ``number``."""
    if found != number:
        raise LookalikeError(f"{file} has format {found}, but this release reads format {number}: {remedy}.")


@cache
def _adapter(shape: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
