"""Text that people read: the name of a picture, shares, and characters that are safe to show."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from unicodedata import normalize

from jobs.base.errors import LookalikeError


def name_of(picture: Mapping[str, object]) -> str:
    """What a person calls the picture: its class, else its file."""
    return str(picture["class_name"] or picture["label"] or Path(str(picture["path"])).name)


def path_of(text: str) -> Path:
    """The absolute path that a person names; ``~`` is the home folder, ``~name`` a user's, if there is one.

    Raises LookalikeError if ``text`` can't be a path.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LookalikeError(f"{plain(text)!r} is not a path that can be used: give another one.") from error
    if "\0" in text:
        raise LookalikeError(f"{plain(text)!r} is not a path that can be used: give another one.")
    path = Path(text)
    with suppress(RuntimeError):  # no such user: a file's name may begin with ~
        path = path.expanduser()
    return path.absolute()


def spellings(text: str) -> list[str]:
    """``text`` and its composed and decomposed forms: file systems and keyboards differ in accents."""
    return list(dict.fromkeys((text, normalize("NFC", text), normalize("NFD", text))))


def plain(text: str) -> str:
    """``text`` with a space for every character that is not printable.

    Among these are newlines, marks that change the direction of text, and lone surrogates, which can't
    be written as UTF-8.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def percent(share: float, down: bool = False) -> str:
    """A share as people write it: ``0.58 %``, ``95.9 %``.

    ``down`` never rounds up, so that a recall can't seem to reach a target that it misses.
    """
    # As a decimal: in binary 100 times 0.57 is a little less than 57, which rounded down is 56.9 %.
    hundred = 100 * Decimal(repr(float(share)))
    digits = 1 if hundred >= 1 or hundred <= 0 else 1 - hundred.adjusted()
    down = down or Decimal("99.9") < hundred < 100
    step = Decimal(1).scaleb(-digits)
    text = f"{hundred.quantize(step, ROUND_FLOOR if down else ROUND_HALF_EVEN):f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "\N{NO-BREAK SPACE}%"
