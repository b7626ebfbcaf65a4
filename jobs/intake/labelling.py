"""Find the labels of a split's pictures, and say what people should know of how they were found."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.base.options import MIN_MATCHED
from jobs.base.text import plain
from jobs.intake.class_folders import class_folders
from jobs.intake.join import NO_PICTURE, Join, join_labels
from jobs.intake.labels import NO_LABEL, NO_NAME, LabelRow, read_labels
from jobs.intake.source import INBOX, Split

log = logging.getLogger(__name__)

SHOWN = 5
"""Names of classes that a sentence lists."""


def label_pictures(
    split: Split, pictures: Sequence[str], class_names: Collection[str], min_matched: float
) -> Join:
    """The labels of ``pictures`` (paths relative to the split's folder) by the split's rule.

    Raises LookalikeError if the label CSV can't be read; if it labels no picture, or less than
    ``min_matched`` (0 to 1) of both its rows and the pictures find a partner, but where that is 0, and in
    the inbox, where labels may land before their pictures; and if there are ``class_names`` and no label is
    among them.
    """
    join = Join()
    rows = read_labels(Path(split.labels), join.told) if split.labels else []
    if split.labels:
        join = join_labels(rows, pictures)
    elif split.label_rule != "class_folders":
        return join
    by_row = set(join.labels.values())
    if split.label_rule in ("auto", "class_folders"):
        classes = class_folders(pictures)
        # Beside a label file, one folder of all pictures is no class.
        if not split.labels or len(set(classes.values())) > 1:
            join.told += _classes_told(classes.values())
            join.labels = classes | join.labels
        join.unmatched_files = [picture for picture in pictures if picture not in join.labels]
    if split.labels and pictures:
        join.told += _fit(split, rows, join, pictures, min_matched, useless=not by_row)
    join.told += _spelled_alike(join.labels.values())
    for told in join.told:
        log.info(told)
    if class_names and by_row and by_row.isdisjoint(class_names):
        raise LookalikeError(
            f"None of the {len(by_row):,} labels of {split.labels} is a class of {len(class_names):,}, "
            f"{plain(min(by_row))!r} for one: give the numbers of the classes, from 1."
        )
    return join


def _classes_told(classes: Iterable[str]) -> list[str]:
    names = sorted(set(classes))
    if len(names) == 1:
        return [f"all pictures in folders are of one class, {plain(names[0])}"]
    return [f"{len(names):,} classes by folders: {_shown(names)}"] if names else []


def _fit(
    split: Split,
    rows: list[LabelRow],
    join: Join,
    pictures: Sequence[str],
    min_matched: float,
    *,
    useless: bool,
) -> list[str]:
    """What to say if fewer than half of the labelling rows or of the pictures found a partner.

    ``useless``: no row labels a picture.
    """
    labelling = sum(not row.reason for row in rows)
    unused = [row for row in join.unmatched_rows if row.reason not in (NO_NAME, NO_LABEL)]
    lost = [row for row in unused if row.reason == NO_PICTURE]
    without = join.unmatched_files
    told = []
    if 2 * len(lost) > labelling:
        told.append(
            f"{len(lost):,} of the {labelling:,} rows of {split.labels} fit no picture: line {lost[0].row} "
            f"names {plain(lost[0].image)!r}, and a picture is {plain((without or pictures)[0])!r}"
        )
    elif useless and unused:
        told.append(
            f"none of the {labelling:,} rows of {split.labels} labels a picture: line {unused[0].row} names "
            f"{plain(unused[0].image)!r} ({unused[0].reason})"
        )
    if 2 * len(without) > len(pictures):
        told.append(
            f"{len(without):,} of {len(pictures):,} pictures have no label, {plain(without[0])!r} for one: "
            f"no row of {split.labels} gives it any"
        )
    fits = max((labelling - len(lost)) / max(1, labelling), 1 - len(without) / len(pictures))
    # Folders may give every picture a label beside a file that gives none.
    unfit = (useless and unused) or (lost and fits < min_matched)
    if unfit and min_matched and split.name != INBOX:
        raise LookalikeError(f"{told[0]}: correct the names, or set {MIN_MATCHED.name} to 0.")
    return told


def _spelled_alike(labels: Iterable[str]) -> list[str]:
    """What to say of classes whose names differ by upper and lower case alone."""
    folded: dict[str, set[str]] = defaultdict(set)
    for label in set(labels):
        folded[label.casefold()].add(label)
    alike = [" and ".join(sorted(names)) for names in folded.values() if len(names) > 1]
    return [f"classes that differ by upper and lower case alone: {_shown(sorted(alike))}"] if alike else []


def _shown(names: Sequence[str]) -> str:
    return plain(", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else ""))
