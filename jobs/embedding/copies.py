"""Resized copies: the squares that were embedded, as JPEG, for people to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.base.atomic import staged_file
from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import backbone_named
from jobs.embedding.model import RESIZED_QUALITY
from jobs.intake.decode import BadPictureError
from jobs.intake.look import content_id, read_picture
from jobs.store.embeddings import ModelDescription
from jobs.store.reading import readable
from jobs.store.root import DataRoot, resized_file


def save_copy(pixels: NDArray[np.uint8], target: Path, scratch: Path | None = None) -> None:
    """Write (side, side, 3) RGB as JPEG; ``scratch`` is that of ``staged_file``."""
    with staged_file(target, scratch=scratch) as staging:
        Image.fromarray(pixels).save(staging, "JPEG", quality=RESIZED_QUALITY)


def copy_of(root: DataRoot, described: ModelDescription, id_: str, path: str) -> Path:
    """The copy of a picture; if it has been removed, it is made again from the file ``path``.

    Raises LookalikeError if that no longer holds the picture.
    """
    copy = resized_file(root, described["resized"], id_)
    if copy.is_file():
        return copy
    # PyTorch takes seconds to import.
    from jobs.embedding.resize import resized

    try:
        content = read_picture(path)
        if content_id(content) != id_:
            raise BadPictureError("it is another picture now")
        pixels = resized(content, backbone_named(described["architecture"]), described["geometry"])
    except (BadPictureError, OSError) as error:
        raise LookalikeError(
            f"{copy} is missing and can't be made again from {path!r} ({error}): "
            "run the DAG similarity_index, and then the query again."
        ) from error
    save_copy(pixels, copy)
    return copy


def open_copy(file: Path, remedy: str) -> Image.Image:
    """Read a resized copy. Raises LookalikeError with ``remedy`` if it can't be read."""
    with readable(file, remedy), Image.open(file) as copy:
        copy.load()
        return copy
