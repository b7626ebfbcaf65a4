"""Write beside the target, then rename: no reader ever sees a half-written file or folder.

What becomes ``target`` is written in a folder of its own beside it, ``.tmp-<target>-<random>``, which
also holds a lock file. The writer keeps an flock on that file for as long as it runs, and the kernel
drops the lock however the writer ends, so a folder whose lock is free is a leftover. The next writer of
the same target removes leftovers, and so does ``sweep``; the folder of a live writer stays. Of two
writers of one file the last wins, of one folder the first.

The lock is on a file because NFS, which several machines may share, locks files across machines and
folders on one machine only. If a file system has no locks, leftovers stay until housekeeping finds
nothing in them younger than a day.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from jobs.base.errors import LookalikeError

LOCK = ".tmp-lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What locking a file raises where the file system has no locks."""


def sweep(folder: Path) -> None:
    """Remove what killed writers left in the tree under ``folder``; live writers are not disturbed."""
    for place, folders, files in os.walk(folder):
        leftovers = [name for name in (*folders, *files) if name.startswith(".tmp-")]
        folders[:] = [name for name in folders if not name.startswith(".tmp-")]
        for name in leftovers:
            _clear(Path(place, name))


def in_use(target: Path) -> bool:
    """Whether ``target`` exists; if so, it counts as used now, and housekeeping keeps it for a day.

    Call it before relying on what is already there.
    """
    try:
        os.utime(target)
    except FileNotFoundError:
        return False
    except OSError as error:  # without write permission it can still be read
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    return True


def remove(target: Path) -> None:
    """Remove a file or folder; readers see it vanish in one step. Of a link, what it points to stays.

    A removal that is killed leaves the same kind of leftover as a killed writer. A target that is
    already gone is not an error. Raises LookalikeError if something can't be removed.
    """
    left = target
    try:
        if not target.name.startswith(".tmp-"):
            left = _beside(target)
            os.rename(target, left)
        _remove(left)
        if os.path.lexists(left):
            raise OSError(errno.ENOTEMPTY, "part of it can't be deleted")
    except FileNotFoundError:
        pass
    except OSError as error:
        place = left if os.path.lexists(left) else target
        raise LookalikeError(
            f"{place} can't be removed ({error.strerror}): grant write permission or delete it yourself."
        ) from error


@contextmanager
def staged_file(target: Path, *, scratch: Path | None = None) -> Iterator[Path]:
    """Yield a path to write to; it replaces ``target`` in one step when the block ends well.

    By then the file and its name are on disk. That is too slow for thousands of small files that can
    be made again: they are written in the folder ``scratch`` of the same file system, neither synced
    nor locked, and their leftovers go with that folder.
    """
    with refusals_explained(target), _staged(target, scratch) as staging:
        yield staging
        if not scratch:
            _sync(staging)
        os.replace(staging, target)
        if not scratch:
            _sync(target.parent)


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``target`` in one step when the block ends well.

    By then all of it is on disk. ``target`` is complete or absent, so one that already exists stays
    and the new folder is dropped: name targets by their content.
    """
    with refusals_explained(target), _staged(target) as staging:
        staging.mkdir()
        yield staging
        for path in (*staging.rglob("*"), staging):
            _sync(path)
        try:
            os.replace(staging, target)
        except OSError:
            if not (target.is_dir() and in_use(target)):  # otherwise another writer was first
                raise
        _sync(target.parent)


def write_text(target: Path, text: str) -> None:
    """Replace ``target`` by ``text`` (UTF-8) in one step."""
    with staged_file(target) as staging:
        staging.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Replace ``target`` by ``value`` as indented JSON in one step."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def _staged(target: Path, scratch: Path | None = None) -> Iterator[Path]:
    if scratch:
        for folder in (target.parent, scratch):
            folder.mkdir(parents=True, exist_ok=True)
        staging = own = scratch / _beside(target).name
    else:
        own, lock = _claim(target)
        staging = own / target.name
    try:
        yield staging
    finally:
        if not scratch:
            lock.close()  # first, because NFS can't delete a file that is open
        _remove(own)


def _claim(target: Path) -> tuple[Path, IO[str]]:
    """Make a folder to write ``target`` in; return it and its lock, which is held until it is closed."""
    make_folder(target.parent)
    for leftover in target.parent.glob(f".tmp-{glob.escape(target.name[:200])}-{'[0-9a-f]' * 8}"):
        _clear(leftover)
    while True:
        own = _beside(target)
        own.mkdir()
        try:
            return own, _lock(own, required=False)
        except (BlockingIOError, FileNotFoundError):
            pass  # another writer took it for a leftover before it was locked


def _lock(own: Path, *, required: bool) -> IO[str]:
    """Lock a staging folder. Raises OSError if another process holds the lock or the folder is gone, and,
    if ``required``, also if the file system has no locks."""
    lock = (own / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(own / LOCK)  # it may have been moved away after it was opened
    except OSError as error:
        if required or error.errno not in NO_LOCKS:
            lock.close()
            raise
    return lock


def _clear(leftover: Path) -> None:
    """Remove ``leftover`` unless its writer is, or may be, alive."""
    with suppress(OSError):
        if leftover.is_dir() and not leftover.is_symlink():
            with _lock(leftover, required=True):
                # A writer that has made the folder, but not locked it yet, finds it gone and makes another.
                moved = re.sub("[0-9a-f]{8}$", uuid.uuid4().hex[:8], leftover.name)
                leftover = leftover.rename(leftover.with_name(moved))
        _remove(leftover)


def _beside(target: Path) -> Path:
    # The name of a run's folder may be as long as a file system allows.
    return target.with_name(f".tmp-{target.name[:200]}-{uuid.uuid4().hex[:8]}")


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it; by then their names are on disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def refusals_explained(target: Path) -> Iterator[None]:
    """Turn a disk's or a file system's refusal to write ``target`` into a LookalikeError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENOTDIR):
            raise LookalikeError(
                f"{target} can't be written ({os.strerror(error.errno)}): move away what is in its place."
            ) from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise LookalikeError(
            f"{target} can't be written ({os.strerror(error.errno)}): "
            "free some space or grant write permission, and run again; what is done so far is kept."
        ) from error
