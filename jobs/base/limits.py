"""Limits that people may set in the environment."""

from __future__ import annotations

import os

from jobs.base.errors import LookalikeError


def limit(variable: str, default: int) -> int:
    """The limit that ``variable`` sets. Raises LookalikeError if that is no whole number above 0."""
    given = os.environ.get(variable)
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and int(given)):
        raise LookalikeError(f"{variable} is {given!r}: set it to a whole number, {default} for example.")
    return int(given)
