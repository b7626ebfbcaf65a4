"""Inspect one picture file: its content hash and its header."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass

from jobs.intake.decode import BadPictureError, read_header

MAX_BYTES = 200_000_000
"""A larger file is not read."""


@dataclass(frozen=True)
class Look:
    """What is known about one file; ``reason`` is set if it can't be used."""

    id: str | None = None
    """``content_id`` of the bytes; None if they could not be read."""
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    reason: str | None = None


def look(path: str) -> Look:
    """Read a file once, for its content hash and its header. Pixels are not decoded."""
    try:
        if os.path.getsize(path) > MAX_BYTES:
            return Look(reason=f"larger than {MAX_BYTES // 1_000_000} MB")
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        return Look(reason=f"cannot be read: {error.strerror}")
    digest = content_id(content)
    if not content:
        return Look(digest, reason="empty file")
    try:
        header = read_header(io.BytesIO(content))
    except BadPictureError as error:
        return Look(digest, reason=str(error))
    return Look(digest, header.width, header.height, header.mode)


def content_id(content: bytes) -> str:
    """The first 32 hex digits of the bytes' SHA-256: a picture's id."""
    return hashlib.sha256(content).hexdigest()[:32]
