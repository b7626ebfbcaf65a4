"""List the picture files of a folder without opening them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.intake.kinds import LABELS_BELOW, LABELS_FILE, PICTURE_SUFFIXES, kind_of_file, kind_of_folder


@dataclass(frozen=True)
class Found:
    """A file with a picture's suffix, listed but not opened."""

    path: str
    """Absolute, as text that can be written as UTF-8."""
    relative: str
    """Relative to the scanned folder, with ``/``."""
    size_bytes: int = 0
    stamp: str = ""
    """``stamp_of`` the file; empty if it isn't usable."""
    reason: str | None = None
    """Why it isn't usable; None if it may be opened."""


@dataclass
class Listing:
    """What lies in the tree under a folder."""

    pictures: list[Found] = field(default_factory=list)
    """Sorted by path. A folder that can't be looked into is among them, with the reason."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Kind of jobs/intake/kinds.py -> files of other kinds, or folders of copies and deleted pictures."""
    links: list[str] = field(default_factory=list)
    """Relative paths of links to folders, which are not followed."""


def scan(folder: Path, apart: Collection[Path] = ()) -> Listing:
    """List the pictures in the tree under ``folder``, and count what else lies there.

    Hidden files and folders are skipped, and the folders ``apart``. Links are
    followed only to files inside the folder, never to folders.

    Raises LookalikeError if ``folder`` itself can't be listed.
    """
    inside, listing = folder.resolve(), Listing()
    skipped = {str(each) for each in apart}

    def refuse(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise LookalikeError(
                f"{folder} can't be listed ({error.strerror}): let the user who runs the tasks read it."
            ) from error
        reason = f"a folder that can't be looked into ({error.strerror}): grant read permission"
        listing.pictures.append(_named(error.filename, folder, reason))

    for directory, folders, files in os.walk(folder, onerror=refuse):
        below = os.path.join(inside, os.path.relpath(directory, folder))
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".")
            and os.path.normpath(os.path.join(below, name)) not in skipped
            and not _passed_over(os.path.join(directory, name), folder, listing)
        ]
        for name in files:
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower()
            if name.lower() == LABELS_FILE:
                if directory != str(folder):
                    listing.passed_over[LABELS_BELOW] += 1
            elif suffix in PICTURE_SUFFIXES:
                listing.pictures.append(_found(os.path.join(directory, name), folder, inside))
            else:
                listing.passed_over[kind_of_file(name, suffix)] += 1
    listing.pictures.sort(key=lambda file: file.path)
    return listing


def _passed_over(path: str, folder: Path, listing: Listing) -> bool:
    """Whether the folder ``path`` is not looked into; it is counted or named then."""
    if kind := kind_of_folder(os.path.basename(path)):
        listing.passed_over[kind] += 1
        return True
    if os.path.islink(path):
        listing.links.append(_named(path, folder).relative)
        return True
    return False


def _named(path: str, folder: Path, reason: str | None = None) -> Found:
    """``path``, in text that can be written as UTF-8."""
    shown = [
        os.fsencode(text).decode("utf-8", "backslashreplace") for text in (path, _relative(path, folder))
    ]
    return Found(shown[0], shown[1], reason=reason)


def _relative(path: str, folder: Path) -> str:
    return path.removeprefix(str(folder)).lstrip("/")


def _found(text: str, folder: Path, inside: Path) -> Found:
    relative = _relative(text, folder)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _named(text, folder, "file name is not UTF-8: rename the file")
    try:
        status = os.lstat(text)
        if stat.S_ISLNK(status.st_mode):
            status = os.stat(text)
            if not Path(text).resolve().is_relative_to(inside):
                return Found(text, relative, reason="a link out of the folder: copy the folder with cp -rL")
    except OSError as error:
        return Found(text, relative, reason=f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return Found(text, relative, reason="not a regular file")
    return Found(text, relative, status.st_size, stamp_of(status))


def stamp_of(status: os.stat_result) -> str:
    """A file's size, time, time of the last change and inode: together they are others if the content is.

    Programs set a file's time as they like, but not that of its last change.
    """
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"
