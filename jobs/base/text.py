"""Text that people read: the name of a picture, and characters that are safe to show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def name_of(picture: Mapping[str, object]) -> str:
    """What a person calls the picture: its class, else its file."""
    return str(picture["class_name"] or picture["label"] or Path(str(picture["path"])).name)


def plain(text: str) -> str:
    """``text`` with a space for every character that is not printable.

    Among these are newlines, marks that change the direction of text, and lone surrogates, which can't
    be written as UTF-8.
    """
    return "".join(char if char.isprintable() else " " for char in text)
