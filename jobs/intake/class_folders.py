"""Classes by folders: the rule of torchvision's ImageFolder, for folders as people keep them."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.intake.labels import one_spelling

SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing", "eval"))
"""Folders that part a data set and name no class, in lower case."""


def class_folders(files: Iterable[str]) -> dict[str, str]:
    """Relative path of a picture -> its class: the first folder below the top that tells classes apart.

    Folders at the top are passed over where all of them part a data set (``train/cat/1.jpg``), and one that
    all pictures in folders lie in, as archives unpack, if none lies in it directly. A picture outside every
    class folder has no class.
    """
    folders = {file: file.split("/")[:-1] for file in files}
    while True:
        top = {parts[0] for parts in folders.values() if parts}
        alone = len(top) == 1 and all(len(parts) > 1 for parts in folders.values() if parts)
        if not top or not (alone or all(name.casefold() in SPLITS for name in top)):
            return {file: one_spelling(parts[0]) for file, parts in folders.items() if parts}
        folders = {file: parts[1:] for file, parts in folders.items()}
