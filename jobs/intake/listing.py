"""List the picture files of a folder without opening them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from jobs.base.errors import LookalikeError

PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
)


@dataclass(frozen=True)
class Found:
    """A file with a picture's suffix, listed but not opened."""

    path: str
    """Absolute, as text that can be written as UTF-8."""
    relative: str
    """Relative to the scanned folder, with ``/``."""
    size_bytes: int
    mtime_ns: int
    reason: str | None = None
    """Why it isn't usable; None if it may be opened."""


def scan(folder: Path) -> tuple[list[Found], int]:
    """List the pictures in the tree under ``folder``, sorted by path, and count other files.

    Hidden files and folders are skipped. Links are followed only to files inside the
    folder, never to folders.

    Raises LookalikeError if a folder can't be listed.
    """
    inside = folder.resolve()
    pictures, others = [], 0
    for directory, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.startswith("."):
                continue
            if os.path.splitext(name)[1].lower() not in PICTURE_SUFFIXES:
                others += 1
                continue
            pictures.append(_found(os.path.join(directory, name), folder, inside))
    return sorted(pictures, key=lambda file: file.path), others


def _refuse(error: OSError) -> None:
    raise LookalikeError(
        f"{error.filename} can't be listed ({error.strerror}): let the user who runs the tasks read it."
    ) from error


def _found(text: str, folder: Path, inside: Path) -> Found:
    relative = text.removeprefix(str(folder)).lstrip("/")
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(text).decode("utf-8", "backslashreplace")
        shown_relative = os.fsencode(relative).decode("utf-8", "backslashreplace")
        return Found(shown, shown_relative, 0, 0, "file name is not UTF-8: rename the file")
    try:
        status = os.lstat(text)
        if stat.S_ISLNK(status.st_mode):
            status = os.stat(text)
            if not Path(text).resolve().is_relative_to(inside):
                return Found(text, relative, 0, 0, "symbolic link out of the folder")
    except OSError as error:
        return Found(text, relative, 0, 0, f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return Found(text, relative, 0, 0, "not a regular file")
    return Found(text, relative, status.st_size, status.st_mtime_ns)
