"""Write beside, then rename: nobody ever reads a half-written file or folder.

What a killed step leaves behind is named ``.tmp-<target>-<random>``; the next
writer of the same target removes it, or ``sweep``, or the step housekeeping.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.base.errors import LookalikeError


def sweep(folder: Path) -> None:
    """Remove what killed steps left half-written in the tree under ``folder``; one writer at a time."""
    for leftover in folder.rglob(".tmp-*"):
        _remove(leftover)


def in_use(target: Path) -> bool:
    """Whether ``target`` is there; if so, it counts as used now, and housekeeping leaves it for a day.

    Asked before anything relies on what is there already.
    """
    try:
        os.utime(target)
    except FileNotFoundError:
        return False
    except OSError as error:  # who may not write may read all the same
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    return True


def remove(target: Path) -> None:
    """Remove a file or folder, for whoever reads it in one step; of a link, what it leads to stays.

    What a killed removal leaves is named as what killed writers leave. What is gone already is no
    error. Raises LookalikeError where something may not be removed.
    """
    left = target
    try:
        if not target.name.startswith(".tmp-"):
            # A run's folder may have a name as long as a file system takes.
            left = target.with_name(f".tmp-{target.name[:200]}-{uuid.uuid4().hex[:8]}")
            os.rename(target, left)
        _remove(left)
        if os.path.lexists(left):
            raise OSError(errno.ENOTEMPTY, "not all of it may be deleted")
    except FileNotFoundError:
        pass
    except OSError as error:
        place = left if os.path.lexists(left) else target
        raise LookalikeError(
            f"{place} can't be removed ({error.strerror}): give leave to write there, or delete it yourself."
        ) from error


def _clean(target: Path) -> None:
    for leftover in target.parent.glob(f".tmp-{target.name}-*"):
        _remove(leftover)


def _staging(target: Path, folder: Path | None = None) -> Path:
    folder = folder or target.parent
    for needed in (target.parent, folder):
        needed.mkdir(parents=True, exist_ok=True)
    return folder / f".tmp-{target.name}-{uuid.uuid4().hex[:8]}"


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
def _refusals_told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise LookalikeError(
            f"{target} can't be written ({os.strerror(error.errno)}): "
            "make room or give leave to write, and run again; what is done so far is kept."
        ) from error


@contextmanager
def staged_file(target: Path, *, scratch: Path | None = None, shared: bool = False) -> Iterator[Path]:
    """Yield a path to write to; it replaces ``target`` in one step when the block ends well.

    The disk has it then, and what a killed writer left of it is gone. Thousands of small files that
    can be made again do without: they are written in the folder ``scratch`` of the same file system,
    which is there to be swept as a whole. ``shared``: several may write the same content at once, so
    what is left half-written waits for ``sweep``.
    """
    with _refusals_told(target):
        staging = _staging(target, scratch)
        if not (scratch or shared):
            _clean(target)
        try:
            yield staging
            if not scratch:
                _sync(staging)
            os.replace(staging, target)
        finally:
            _remove(staging)


@contextmanager
def staged_directory(target: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes ``target`` in one step when the block ends well.

    ``target`` is complete or absent, so one that is there already stays and the
    new folder is dropped: name targets by their content. ``shared`` is as for ``staged_file``.
    """
    with _refusals_told(target):
        staging = _staging(target)
        if not shared:
            _clean(target)
        staging.mkdir()
        try:
            yield staging
            for file in staging.rglob("*"):
                _sync(file)
            try:
                os.replace(staging, target)
            except OSError:
                if not (target.is_dir() and in_use(target)):  # nobody else was first
                    raise
            _sync(target.parent)
        finally:
            _remove(staging)


def write_text(target: Path, text: str) -> None:
    """Replace ``target`` by ``text`` (UTF-8) in one step."""
    with staged_file(target) as staging:
        staging.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Replace ``target`` by ``value`` as indented JSON in one step."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
