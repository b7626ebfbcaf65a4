"""The user's own folder of pictures."""

from __future__ import annotations

from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.intake.source import Source, Split

LABELS_FILE = "labels.csv"
LABEL_RULES = ("auto", "csv", "class_folders", "none")


def folder(directory: Path, label_rule: str = "auto") -> Source:
    """Describe ``directory`` as a source.

    ``label_rule``: ``csv`` joins the folder's ``labels.csv`` (columns ``image`` and
    ``label``), ``class_folders`` takes the name of the folder that a picture is in, ``none``
    leaves all unlabelled; ``auto`` is ``csv`` if there is a ``labels.csv``, else
    ``class_folders`` if there are sub-folders, else ``none``.

    Raises LookalikeError if the folder or its ``labels.csv`` is missing.
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
    labels = directory / LABELS_FILE
    if label_rule == "auto":
        if labels.is_file():
            label_rule = "csv"
        else:
            folders = any(entry.is_dir() and not entry.name.startswith(".") for entry in directory.iterdir())
            label_rule = "class_folders" if folders else "none"
    if label_rule == "csv" and not labels.is_file():
        raise LookalikeError(
            f"{labels} is missing: put it there with columns image and label, "
            "or choose labels by class_folders or none."
        )
    split = Split("all", str(directory), str(labels) if label_rule == "csv" else None, label_rule=label_rule)
    return Source("folder", (split,))
