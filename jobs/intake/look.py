"""Inspect one picture file: its content hash and its header."""

from __future__ import annotations

import hashlib
import io
import os
import stat
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
        content = read_picture(path)
    except BadPictureError as error:
        return Look(reason=str(error))
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


def read_picture(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file of at most ``MAX_BYTES``; devices and pipes, which may have no end, are not
    read.

    Raises BadPictureError with the reason, OSError if the file can't be read.
    """
    # Opening a pipe would wait for its writer.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadPictureError("not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BadPictureError(f"larger than {MAX_BYTES // 1_000_000} MB")
    return content


def content_id(content: bytes) -> str:
    """The first 32 hex digits of the bytes' SHA-256: a picture's id."""
    return hashlib.sha256(content).hexdigest()[:32]
