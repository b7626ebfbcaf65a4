"""Turn what a person names as a query into a picture and its vector."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.base.errors import LookalikeError, NotFoundError, UnusableError
from jobs.base.text import path_of, spellings
from jobs.intake.decode import BadPictureError
from jobs.intake.look import content_id, read_picture
from jobs.intake.named import named_path
from jobs.lsh.sketch import Floats
from jobs.search.opened import OpenIndex
from jobs.store.answers import Caption
from jobs.store.gallery import Gallery, Row
from jobs.store.root import DataRoot

RANDOM = "random"
"""The query that draws a picture of the index."""


@dataclass(frozen=True)
class Asked:
    """The query picture: what it is called, and its (1, d) vector of length 1."""

    caption: Caption
    vector: Floats


def look_up(
    index: OpenIndex,
    gallery: Gallery,
    query: str,
    root: DataRoot,
    *,
    seed: int,
    embed: Callable[[bytes], Floats],
) -> Asked:
    """Find the picture that ``query`` names.

    It is ``random`` (drawn by ``seed``), an id, a path or a file name in the index, the id of an uploaded
    picture or the path of any other. ``embed`` turns a file's bytes into a (1, d) embedding or raises
    BadPictureError.

    Raises LookalikeError if there is no such picture, or it can't be used.
    """
    if query == RANDOM:
        return _of_index(index, gallery.at(random.Random(seed).randrange(len(gallery))))
    if re.fullmatch(r"[0-9a-f]{32}", query):
        if known := gallery.picture(query):
            return _of_index(index, known)
        if (upload := root.uploads / query).is_file():
            return _from_file(index, gallery, upload, embed)
        raise NotFoundError(f"the index holds no picture with id {query}: choose another.")
    file = path_of(query)
    named = gallery.named(str(file)) or gallery.named(query)
    if len(named) > 1:
        raise LookalikeError(f"{query!r} names several pictures of the index: give a path or an id.")
    if named:
        return _of_index(index, named[0])
    files = [named_path(spelling, root) for spelling in spellings(query)]
    return _from_file(index, gallery, next(filter(os.path.exists, files), files[0]), embed)


def caption_of(picture: Row) -> Caption:
    return Caption(
        id=picture["id"], path=picture["path"], label=picture["label"], class_name=picture["class_name"]
    )


def _of_index(index: OpenIndex, picture: Row) -> Asked:
    vector = index.vector(picture["id"])
    if vector is None:
        raise LookalikeError(f"{index.packed} holds no vector of {picture['id']}: rebuild the index.")
    return Asked(caption_of(picture), vector)


def _from_file(index: OpenIndex, gallery: Gallery, file: Path, embed: Callable[[bytes], Floats]) -> Asked:
    """Look a file up by its bytes, else embed it."""
    try:
        content = read_picture(file)
    except BadPictureError as error:
        raise LookalikeError(f"{str(file)!r} can't be used as a query: {error}.") from error
    except OSError as error:
        raise LookalikeError(
            f"{str(file)!r} is neither in the index nor a file that can be read ({error.strerror}): "
            "give an id, a path or random."
        ) from error
    if known := gallery.picture(content_id(content)):
        return _of_index(index, known)
    try:
        embedding = embed(content)
    except BadPictureError as error:
        raise LookalikeError(f"{str(file)!r} can't be used as a query: {error}.") from error
    return outsider(str(file), embedding)


def outsider(name: str, embedding: Floats) -> Asked:
    """A picture that is not in the index, by its (1, d) embedding.

    Raises UnusableError if that has no direction.
    """
    length = float(np.linalg.norm(embedding))
    if not 0 < length < np.inf:
        raise UnusableError(f"{name!r} has an all-zero or non-finite embedding: choose another picture.")
    caption = Caption(id=None, path=name, label=None, class_name=None)
    return Asked(caption, embedding / np.float32(length))
