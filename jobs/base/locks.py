"""One process at a time. The kernel drops a lock however its holder ends.

Where the file system has no locks, nobody waits and nobody is refused.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.base.atomic import NO_LOCKS, make_folder, refusals_explained
from jobs.base.errors import LookalikeError

log = logging.getLogger(__name__)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block with the same ``folder``, which is made if need be."""
    with _locked(folder / ".lock") as (descriptor, taken):
        if taken:
            log.info(f"another process works in {folder}: waiting until it has ended")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(file: Path, refusal: str) -> Iterator[int]:
    """Raise LookalikeError(``refusal``) if another process is in such a block with the same ``file``.

    Yields a file descriptor: a process that inherits it holds the lock, too, for as long as it runs.
    """
    with _locked(file) as (descriptor, taken):
        if taken:
            raise LookalikeError(refusal)
        yield descriptor


@contextmanager
def _locked(file: Path) -> Iterator[tuple[int, bool]]:
    """A descriptor of ``file``, and whether another process holds the lock on it; if not, this one does."""
    with refusals_explained(file):
        make_folder(file.parent)
        lock = file.open("a")
    with lock:
        taken = False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = True
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield lock.fileno(), taken
