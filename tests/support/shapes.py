"""The shapes of index that every test of search, neighbours, gallery and report goes through."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """How many values a vector has, and how many pictures a part; None: all of them in one."""

    dimension: int
    rows: int | None


SHAPES = {"512 values, one part": Shape(512, None), "640 values, several parts": Shape(640, 100)}
