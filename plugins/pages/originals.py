"""The original files of pictures, as they lie on the disk; nothing here looks into their pixels."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from jobs.intake.decode import BadPictureError
from jobs.intake.look import content_id, read_picture

MAX_BYTES = 50_000_000
"""A larger one is shown by its resized copy."""
KINDS = (
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb"BM"), "image/bmp"),
)
"""How a file of a kind begins that browsers show."""


class Facts(TypedDict):
    """What the disk tells of a file."""

    bytes: str
    changed: str


def facts(path: str) -> Facts | None:
    """None if the file is gone or can't be reached."""
    try:
        told = Path(path).stat()
    except (OSError, ValueError):
        return None
    changed = datetime.fromtimestamp(told.st_mtime, UTC)
    return Facts(bytes=_size(told.st_size), changed=f"{changed:%Y-%m-%d %H:%M}")


def original(path: str, id_: str) -> tuple[bytes, str] | None:
    """The bytes of the picture and their kind.

    None if the file is gone, holds another picture now, is too large, or of a kind that browsers don't show.
    """
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            return None
        content = read_picture(path)
    except (OSError, ValueError, BadPictureError):
        return None
    kind = next((name for begin, name in KINDS if begin.match(content)), None)
    return (content, kind) if kind and content_id(content) == id_ else None


def _size(bytes_: int) -> str:
    if bytes_ < 1_000_000:
        return f"{max(1, round(bytes_ / 1_000)):,} kB"
    return f"{bytes_ / 1_000_000:,.1f} MB"
