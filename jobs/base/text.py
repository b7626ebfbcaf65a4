"""How pictures are called where people read of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def name_of(picture: Mapping[str, object]) -> str:
    """What a person calls the picture: its class, else its file."""
    return str(picture["class_name"] or picture["label"] or Path(str(picture["path"])).name)


def plain(text: str) -> str:
    """``text`` with every character that is not for showing as a space.

    Among them are newlines, marks that turn the direction of text, and halves of characters, which
    could not even be written as UTF-8.
    """
    return "".join(char if char.isprintable() else " " for char in text)
