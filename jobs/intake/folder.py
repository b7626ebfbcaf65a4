"""The user's own folder of pictures."""

from __future__ import annotations

from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.intake.kinds import LABELS_FILE
from jobs.intake.source import Source, Split

LABEL_RULES = ("auto", "csv", "class_folders", "none")


def folder(directory: Path, label_rule: str = "auto") -> Source:
    """Describe ``directory`` as a source.

    ``label_rule``: ``csv`` joins the folder's ``labels.csv`` (columns ``image`` and ``label``; its name in
    any case), ``class_folders`` takes the class folder that a picture is in, ``none`` leaves all
    unlabelled; ``auto`` takes the class folder where ``labels.csv`` doesn't name the picture. Without a
    ``labels.csv`` it is ``class_folders`` if there are sub-folders, else ``none``.

    Raises LookalikeError if the folder or its ``labels.csv`` is missing, or there are several of these.
    """
    directory = directory.expanduser().absolute()
    try:
        str(directory).encode()
    except UnicodeEncodeError as error:
        raise LookalikeError(f"{directory!r} has a name that is not UTF-8: rename the folder.") from error
    if not directory.is_dir():
        raise LookalikeError(f"{directory} is not a folder: give the folder that holds your pictures.")
    if directory == Path("/"):
        raise LookalikeError("/ is the whole machine: give the folder that holds your pictures.")
    labels = label_file(directory)
    if label_rule == "auto" and not labels:
        folders = any(entry.is_dir() and not entry.name.startswith(".") for entry in directory.iterdir())
        label_rule = "class_folders" if folders else "none"
    if label_rule == "csv" and not labels:
        raise LookalikeError(
            f"{directory / LABELS_FILE} is missing: put it there with columns image and label, "
            "or choose labels by class_folders or none."
        )
    named = str(labels) if labels and label_rule in ("auto", "csv") else None
    return Source("folder", (Split("all", str(directory), named, label_rule=label_rule),))


def label_file(directory: Path) -> Path | None:
    """The folder's ``labels.csv``, whatever its case. It may be no file: that is refused when it is read.

    Raises LookalikeError if there are several.
    """
    found = [each for each in directory.iterdir() if each.name.lower() == LABELS_FILE]
    if len(found) > 1:
        names = ", ".join(sorted(each.name for each in found))
        raise LookalikeError(f"{directory} has several label files ({names}): keep one of them.")
    return found[0] if found else None
