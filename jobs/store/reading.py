"""Reading the data root: whatever is wrong with a file is one sentence, and what is broken is made again."""

from __future__ import annotations

import csv
import logging
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from jobs.base.atomic import in_use, remove
from jobs.base.errors import LookalikeError

log = logging.getLogger(__name__)

# What JSON, CSV, NumPy, Arrow, Parquet and SQLite raise on files that are cut off, damaged or something else.
_CORRUPT = (
    pa.ArrowException,
    sqlite3.DatabaseError,
    zipfile.BadZipFile,
    csv.Error,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    RecursionError,
    OverflowError,
)


@contextmanager
def readable(file: Path, remedy: str) -> Iterator[None]:
    """Turn what goes wrong in a block that reads ``file`` into a sentence that ends in ``remedy``.

    Raises LookalikeError if the file is missing, can't be read or is corrupt.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise LookalikeError(f"{file} is missing: {remedy}.") from error
    except PermissionError as error:
        raise LookalikeError(f"{file} can't be read ({error.strerror}): grant read permission.") from error
    except _CORRUPT as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise LookalikeError(f"{file} is corrupt ({reason}): {remedy}.") from error


def is_whole(target: Path, check: Callable[[], object]) -> bool:
    """Whether ``target`` exists and ``check`` finds nothing wrong with it; it then counts as used.

    A target that ``check`` refuses by a LookalikeError is removed, so that its maker makes it again.
    """
    if not in_use(target):
        return False
    try:
        check()
    except LookalikeError as error:
        log.warning(f"{error} It is rebuilt now.")
        remove(target)
        return False
    return True
