"""Classes by folders: the rule of torchvision's ImageFolder, for folders as people keep them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from jobs.intake.labels import one_spelling

SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing", "eval"))
"""Folders that part a data set and name no class, in lower case."""


def class_folders(files: Iterable[str]) -> dict[str, str]:
    """Relative path of a picture -> its class: the first folder below the top that tells classes apart.

    Folders at the top are passed over where all of them part a data set (``train/cat/1.jpg``), and one that
    all pictures in folders lie in, as archives unpack, if none lies in it directly. So are those of a split
    that lie below the classes elsewhere (``val/images/1.jpg`` beside ``train/cat/images/1.jpg``). A picture
    outside every class folder has no class.
    """
    folders = {file: file.split("/")[:-1] for file in files}
    splits: dict[str, str] = {}
    while True:
        top = {parts[0] for parts in folders.values() if parts}
        alone = len(top) == 1 and all(len(parts) > 1 for parts in folders.values() if parts)
        parting = all(name.casefold() in SPLITS for name in top)
        if not top or not (alone or parting):
            break
        if parting:
            splits = {file: parts[0] for file, parts in folders.items() if parts}
        folders = {file: parts[1:] for file, parts in folders.items()}
    classless = _classless(folders, splits)
    folders = {file: parts[splits.get(file) in classless :] for file, parts in folders.items()}
    return {file: one_spelling(parts[0]) for file, parts in folders.items() if parts}


def _classless(folders: dict[str, list[str]], splits: dict[str, str]) -> set[str]:
    """The splits all of whose folders, fewer than there are other classes, lie below most of these, too."""
    tops: dict[str, set[str]] = defaultdict(set)
    below: dict[str, set[str]] = defaultdict(set)
    for file, split in splits.items():
        if parts := folders[file]:
            tops[split].add(parts[0])
            below[parts[0]].update(parts[1:2])
    found = set()
    for split, top in tops.items():
        others = [inside for name, inside in below.items() if name not in top]
        if len(top) < len(others) < 2 * sum(top <= inside for inside in others):
            found.add(split)
    return found
