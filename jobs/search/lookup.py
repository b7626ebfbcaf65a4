"""Turn what a person names as a query into a picture and its vector."""

from __future__ import annotations

import random
import re
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jobs.base.atomic import staged_file
from jobs.base.errors import LookalikeError
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.intake.decode import BadPictureError
from jobs.intake.scan import content_id
from jobs.lsh.sketch import Floats
from jobs.store.embeddings import EmbeddingStore
from jobs.store.packed import Part, parts
from jobs.store.root import QUERY_PICTURE, DataRoot
from jobs.store.versions import Index

RANDOM = "random"


@dataclass(frozen=True)
class Asked:
    """A picture that is asked about: ``told`` has id (None where it is not in the index), path, label
    and class_name; ``vector`` is (1, 512), of length 1."""

    told: dict[str, Any]
    vector: Floats


def look_up(root: DataRoot, index: Index, query: str, seed: int, folder: Path) -> Asked:
    """Find the picture that ``query`` names.

    It is ``random`` (drawn by ``seed``), an id, a path or a file name in the index, or the path of
    any other picture, which is embedded by the index's own model; then its 224 x 224 copy is left in
    ``folder``. Raises LookalikeError where it can't be had.
    """
    if query == RANDOM:
        rows = index.captions()
        return _of_index(index, rows[random.Random(seed).randrange(len(rows))])
    if re.fullmatch(r"[0-9a-f]{32}", query):
        if known := index.captions(id=[query]):
            return _of_index(index, known[0])
        raise LookalikeError(f"the index holds no picture with id {query}: choose another.")
    file = Path(query).expanduser()
    rows, path = index.captions(), str(file.absolute())
    by_path = [row for row in rows if row["path"] == path]
    by_name = [row for row in rows if row["path"].rpartition("/")[2] == query]
    for named in (by_path, by_name):
        if len(named) > 1:
            raise LookalikeError(f"{query!r} names several pictures of the index: give a path or an id.")
        if named:
            return _of_index(index, named[0])
    return _from_file(root, index, file, folder)


def _of_index(index: Index, told: dict[str, Any]) -> Asked:
    wanted = told["id"].encode()
    for name in parts(index.packed):
        part = Part.open(name)
        row = bisect_left(part.ids, wanted)
        if row < len(part.ids) and part.ids[row] == wanted:
            return Asked(told, np.array(part.vectors[row : row + 1]))
    raise LookalikeError(f"{index.packed} holds no vector of {wanted.decode()}: build the index again.")


def _from_file(root: DataRoot, index: Index, file: Path, folder: Path) -> Asked:
    """Look a file up by its bytes, else embed it by the model that made the index."""
    # Only such a query needs PyTorch, which takes seconds to import.
    from jobs.embedding.embedder import ImageEmbedder
    from jobs.embedding.resize import resized

    told = index.manifest()["model"]
    try:
        content = file.read_bytes()
        if known := index.captions(id=[content_id(content)]):
            return _of_index(index, known[0])
    except OSError as error:
        raise LookalikeError(
            f"{str(file)!r} is neither in the index nor a file that can be read ({error.strerror}): "
            "give an id, a path or random."
        ) from error
    try:
        pixels = resized(content, told["geometry"])
    except BadPictureError as error:
        raise LookalikeError(f"{str(file)!r} can't be used as a query: {error}.") from error
    model = Model(find_weights(told["weights"]), told["geometry"], told["precision"])
    if model.fingerprint != told["fingerprint"]:
        raise LookalikeError(
            f"weights {told['weights']} are not those that made index {index.version} "
            f"(fingerprint {model.fingerprint}, not {told['fingerprint']}): build the index anew."
        )
    embedder = ImageEmbedder(model, kept=EmbeddingStore(root.embeddings / model.fingerprint).openvino)
    with staged_file(folder / QUERY_PICTURE) as staging:
        Image.fromarray(pixels).save(staging, "JPEG", quality=90)
    embedding = embedder.forward(pixels[None])
    length = float(np.linalg.norm(embedding))
    if not 0 < length < np.inf:
        raise LookalikeError(
            f"{str(file)!r} has an embedding of length {length}, which is like nothing: ask about another."
        )
    asked = {"id": None, "path": str(file.absolute()), "label": None, "class_name": None}
    return Asked(asked, embedding / np.float32(length))
