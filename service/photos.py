"""Pictures from outside: decoded in other processes, embedded here, kept in mind for the next question."""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from PIL import Image

from jobs.base.errors import LookalikeError
from jobs.embedding.model import RESIZED_QUALITY
from jobs.embedding.single import SingleEmbedder
from jobs.lsh.sketch import Floats
from jobs.search.answering import Stages

KEPT = 1_000
"""Photos that are kept in mind: some 20 KB each."""


@dataclass(frozen=True)
class Photo:
    embedding: Floats
    """(1, d), not normalised."""
    resized: bytes
    """The square that was embedded, as JPEG."""


class Photos:
    """The photos that one model embedded last; several threads may ask at once."""

    def __init__(self, embedder: SingleEmbedder, problem: LookalikeError | None = None) -> None:
        """``problem``: why there is no network; pictures of the index are found all the same."""
        self._embedder, self.problem = embedder, problem
        self._kept: OrderedDict[str, Photo] = OrderedDict()
        self._lock = Lock()

    def recent(self, id_: str) -> Photo | None:
        with self._lock:
            if photo := self._kept.get(id_):
                self._kept.move_to_end(id_)
            return photo

    def embed(self, id_: str, content: bytes, stages: Stages) -> Photo:
        """Raises BadPictureError with the reason, LookalikeError if the weights are not available."""
        if photo := self.recent(id_):
            return photo
        if self.problem:
            raise self.problem
        with stages("decode"):
            pixels = self._embedder.pixels(content)
        with stages("embed"):
            embedding = self._embedder.forward(pixels[None])
        resized = io.BytesIO()
        Image.fromarray(pixels).save(resized, "JPEG", quality=RESIZED_QUALITY)
        photo = Photo(embedding, resized.getvalue())
        with self._lock:
            self._kept[id_] = photo
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return photo
