"""Join label rows to picture files: by paths as people and programs write them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from unicodedata import normalize
from urllib.parse import unquote

from jobs.intake.kinds import PICTURE_SUFFIXES
from jobs.intake.labels import LabelRow

Parts = tuple[str, ...]
"""A path's folders and its file."""

NO_PICTURE = "no such picture"

MANY = 1_000
"""Files of one name among which no path is looked for: it would take hours among millions."""


@dataclass
class Join:
    """Which picture has which label, and what is unmatched."""

    labels: dict[str, str] = field(default_factory=dict)
    """Relative path of a picture -> label."""
    unmatched_rows: list[LabelRow] = field(default_factory=list)
    unmatched_files: list[str] = field(default_factory=list)
    duplicate_rows: int = 0
    told: list[str] = field(default_factory=list)
    """What people should know of how the labels were found."""


def join_labels(rows: Iterable[LabelRow], files: Iterable[str]) -> Join:
    """Join label rows to ``files`` (paths relative to the split's folder, with ``/``).

    A row names the one file whose path ends as the row's does, or the other way round; how slashes, spaces
    (``%20``), ``./`` and accents are written makes no difference. If there is none, case is ignored, then
    the suffix too, then leading zeros and ``.0`` of a number. Of several files that of the longest common
    ending is meant; of several of those, none. Rows that repeat a picture's label are counted; rows that
    contradict each other leave the picture unlabelled, unless one names it more exactly.
    """
    files = list(files)
    find = _finder(files)
    join = Join()
    claims: dict[str, list[tuple[int, LabelRow]]] = defaultdict(list)
    for row in rows:
        level, matches = (0, []) if row.reason else find(row.image)
        if row.reason:
            join.unmatched_rows.append(row)
        elif len(matches) == 1:
            claims[matches[0]].append((level, row))
        else:
            reason = f"{len(matches)} pictures have this name" if matches else NO_PICTURE
            join.unmatched_rows.append(LabelRow(row.row, row.image, row.label, reason))
    for file, claim in claims.items():
        exactly = min(level for level, _ in claim)
        meant = [row for level, row in claim if level == exactly]
        beaten = [row for level, row in claim if level > exactly]
        if len({row.label for row in meant}) == 1:
            join.labels[file] = meant[0].label
            same = [row for row in beaten if row.label == meant[0].label]
            join.duplicate_rows += len(meant) - 1 + len(same)
            beaten = [row for row in beaten if row.label != meant[0].label]
            reason = "another row names this picture more exactly"
        else:
            beaten, reason = [*meant, *beaten], "contradicts another row"
        join.unmatched_rows += [LabelRow(row.row, row.image, row.label, reason) for row in beaten]
    join.unmatched_rows.sort(key=lambda row: row.row)
    join.unmatched_files = [file for file in files if file not in join.labels]
    return join


def _finder(files: list[str]) -> Callable[[str], tuple[int, list[str]]]:
    """A function from a row's name to how loosely it was read, from 0, and the files that it may mean."""
    exact = {file: [file] for file in files}
    by_path: dict[Parts, list[str]] = defaultdict(list)
    # Level -> name -> files.
    by_name: list[dict[str, list[tuple[Parts, str]]]] = [defaultdict(list) for _ in _LEVELS]
    for file in files:
        parts = _parts(file)
        by_path[parts].append(file)
        for names, key in zip(by_name, _LEVELS, strict=True):
            if name := key(parts[-1]):
                names[name].append((_folded(parts), file))

    def find(image: str) -> tuple[int, list[str]]:
        if image in exact:
            return 0, exact[image]
        for spelling in dict.fromkeys((image, unquote(image))):
            parts = _parts(spelling)
            if found := by_path.get(parts):
                return 1, found
            for level, (names, key) in enumerate(zip(by_name, _LEVELS, strict=True), start=2):
                name = key(parts[-1]) if parts else ""
                if name and (found := _longest(_folded(parts), names.get(name, []))):
                    return level, found
        return 0, []

    return find


def _longest(row: Parts, candidates: list[tuple[Parts, str]]) -> list[str]:
    """The files of ``candidates`` whose folders end as the row's do, or the other way round, the furthest."""
    if len(candidates) > MANY:
        return [file for _, file in candidates]
    lengths: dict[int, list[str]] = defaultdict(list)
    for parts, file in candidates:
        common = min(len(row), len(parts)) - 1
        if row[-1 - common : -1] == parts[-1 - common : -1]:
            lengths[common].append(file)
    return lengths[max(lengths)] if lengths else []


def _parts(path: str) -> Parts:
    # macOS writes é as two code points, most CSVs as one.
    named = normalize("NFC", path).replace("\\", "/")
    return tuple(part for part in named.split("/") if part not in ("", "."))


def _folded(parts: Parts) -> Parts:
    return tuple(part.casefold() for part in parts)


def _stem(name: str) -> str:
    stem, suffix = os.path.splitext(name.casefold())
    return stem if suffix in PICTURE_SUFFIXES else name.casefold()


def _number(name: str) -> str:
    number = re.fullmatch(r"0*(\d+?)(\.0+)?", _stem(name), re.ASCII)
    return number[1] if number else ""


_LEVELS: tuple[Callable[[str], str], ...] = (str, str.casefold, _stem, _number)
"""How loosely a file's name is read."""
