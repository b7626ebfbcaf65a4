"""``index/settings.json``: the params of the last run that published, which scheduled runs repeat."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.base.options import INDEX_OPTIONS, check_option
from jobs.store.documents import read_document, write_document
from jobs.store.root import DataRoot

FORMAT = 2


class Settings(TypedDict):
    params: dict[str, Any]
    """Name of an option of jobs/base/options.py -> value."""
    splits: NotRequired[dict[str, int]]
    """Split -> usable pictures that the run published."""


def published_settings(root: DataRoot) -> Settings | None:
    """The settings of the last run that published; None if none has.

    Raises LookalikeError if the file is corrupt, of another format, or holds a value that is not allowed.
    """
    file = root.index / "settings.json"
    try:
        settings = read_document(file, Settings, FORMAT, "trigger the DAG similarity_index once")
    except FileNotFoundError:
        return None
    known = {option.name: option for option in INDEX_OPTIONS}
    params = {name: value for name, value in settings["params"].items() if name in known}
    try:
        for name, value in params.items():
            check_option(known[name], value)
    except LookalikeError as error:
        raise LookalikeError(f"{file} is corrupt: {error}") from error
    # Until 0.1, k was both.
    if "k" in params:
        params.setdefault("recall_at", params["k"])
    return {**settings, "params": params}


def write_settings(root: DataRoot, settings: Settings) -> None:
    write_document(root.index / "settings.json", settings, FORMAT)
