"""Paths that people name in forms and requests: only below folders that may be read."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.base.text import path_of, plain
from jobs.store.root import DataRoot

ROOTS = "LOOKALIKE_ROOTS"
"""Folders, with ``:`` between them. Unset, as for who runs a step by hand, every path may be named."""


def named_path(text: str, root: DataRoot | None = None) -> Path:
    """The absolute path that ``text`` names, links not followed.

    If ``LOOKALIKE_ROOTS`` is set, it has to lie, links followed, below one of its folders, the data root, the
    inbox or the folder whose pictures are published. Raises LookalikeError if it doesn't, or is no path.
    """
    path = path_of(text)
    if not (named := os.environ.get(ROOTS)):
        return path
    root = root or DataRoot.from_env()
    allowed = [root.root, root.inbox, *map(Path, named.split(os.pathsep)), *_published_folder(root)]
    real = path.resolve()
    if not any(real.is_relative_to(folder.expanduser().resolve()) for folder in allowed):
        raise LookalikeError(
            f"{plain(str(path))!r} lies outside the folders that may be named ({named}): "
            f"give another path, or add a folder to {ROOTS} where Airflow is started."
        )
    return path


def _published_folder(root: DataRoot) -> list[Path]:
    # Only forms need it; the embedding process names its weights, too.
    from jobs.store.settings import published_settings

    try:
        settings = published_settings(root)
    except LookalikeError:  # said where the settings are used
        return []
    folder = settings["params"].get("folder") if settings else None
    return [path_of(folder)] if folder else []
