"""What happens to files: each damages one, in its own way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def scribble(file: Path) -> None:
    """Other bytes, as many."""
    file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))


def scribble_inside(file: Path) -> None:
    """As by a disk: the middle third is something else, head and tail are whole."""
    content = bytearray(file.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = np.random.default_rng(0).bytes(third)
    file.write_bytes(bytes(content))


def nest(file: Path) -> None:
    file.write_text("[" * 100_000)


def write_no_object(file: Path) -> None:
    file.write_text("17\n")


def replace_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def delete(file: Path) -> None:
    file.unlink()


def point_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to("nothing")


DAMAGES = (
    *(cut_off, empty, scribble, scribble_inside, nest),
    *(write_no_object, replace_by_folder, delete, point_nowhere),
)
