"""Temporary folders that processes leave behind only if they are killed, and those that were."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".tmp-lookalike-"
NAME = re.compile(re.escape(PREFIX) + r"(\d+)-\w+")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in the temporary folder for this process and those that it starts; gone afterwards."""
    # One that is started may outlive this block for a moment, and write meanwhile.
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def abandoned() -> list[Path]:
    """This user's scratch folders whose process has ended."""
    found = []
    for entry in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        if (match := NAME.fullmatch(entry.name)) and entry.lstat().st_uid == os.getuid():
            try:
                os.kill(int(match[1]), 0)
            except (ProcessLookupError, PermissionError):  # or another user's process has its number now
                found.append(entry)
    return found
