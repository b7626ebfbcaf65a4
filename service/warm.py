"""The published version, held open; another one takes over when ``index/current`` moves."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np

from jobs.base.errors import LookalikeError, NotFoundError, UnusableError
from jobs.embedding.decoders import Decoders
from jobs.embedding.single import SingleEmbedder
from jobs.intake.look import content_id, read_picture
from jobs.search.answering import OpenVersion, Stages
from jobs.search.lookup import Asked, outsider
from jobs.store.root import DataRoot
from jobs.store.versions import name_index, open_index
from service import metrics
from service.photos import Photos

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
TRY_AGAIN_S = 60.0
"""After weights or a version that could not be opened."""


@dataclass(frozen=True)
class Serving:
    """One version with its network. Whoever answers takes it once and stays with it."""

    root: DataRoot
    version: OpenVersion
    photos: Photos

    @property
    def fingerprint(self) -> str:
        return self.version.manifest["model"]["fingerprint"]

    def by_id(self, id_: str, stages: Stages) -> Asked:
        """A picture of the index, or an uploaded one. Raises NotFoundError if there is none."""
        with stages("look_up"):
            known = self.version.known(id_)
        if known:
            return known
        photo = self.photos.recent(id_)
        if photo is None:
            return self.by_content(str(self.root.uploads / id_), self._upload(id_), stages)
        return outsider(str(self.root.uploads / id_), photo.embedding)

    def by_content(self, name: str, content: bytes, stages: Stages) -> Asked:
        """A picture file by its bytes, which the index may hold. Raises BadPictureError with the reason."""
        id_ = content_id(content)
        with stages("look_up"):
            known = self.version.known(id_)
        return known or outsider(name, self.photos.embed(id_, content, stages).embedding)

    def by_vector(self, vector: list[float]) -> Asked:
        """Raises UnusableError if it is of another length than the index's, or has no direction."""
        dimension = self.version.manifest["dimension"]
        if len(vector) != dimension:
            raise UnusableError(f"the vector has {len(vector)} values, and those of this index {dimension}.")
        with np.errstate(over="ignore"):
            values = np.array([vector], np.float32)
            length = np.linalg.norm(values)
        if not np.isfinite(length) or length == 0:
            raise UnusableError("The vector has no direction: its values are all 0, or too large.")
        return outsider("vector", values)

    def resized(self, id_: str) -> bytes:
        """The square of an uploaded picture that was embedded, as JPEG."""
        photo = self.photos.recent(id_) or self.photos.embed(id_, self._upload(id_), Stages())
        return photo.resized

    def _upload(self, id_: str) -> bytes:
        try:
            return read_picture(self.root.uploads / id_)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"neither the index nor the uploads hold a picture with id {id_}: send the picture itself."
            ) from error


class Warm:
    """What is served, now and after the next change; a context manager.

    A thread looks every half second whether another version is published. That one is opened and tried
    before it takes over; if it can't be opened, the one before it goes on.
    """

    def __init__(self, root: DataRoot, threads: int) -> None:
        self._root = root
        self._decoders = Decoders(threads)
        self._serving: Serving | None = None
        self.problem: LookalikeError | None = LookalikeError(
            "the index is being opened: ask again in a moment."
        )
        """Why what is published is not served, or its network is missing; None if all is well."""
        self._named: str | None = None
        """The version that was tried last, and when."""
        self._tried = -TRY_AGAIN_S
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Warm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._decoders.close()

    def serving(self) -> Serving:
        """Raises LookalikeError if there is nothing to serve."""
        if self._serving is None:
            raise self.problem or LookalikeError("no index is open.")
        return self._serving

    def _watch(self) -> None:
        self._decoders.warm_up()
        while not self._stop.is_set():
            self._look()
            self._stop.wait(LOOK_EVERY_S)

    def _look(self) -> None:
        try:
            named = name_index(self._root).version
            again = self.problem is not None and time.monotonic() - self._tried >= TRY_AGAIN_S
            if named != self._named or again:
                self._named, self._tried = named, time.monotonic()
                self._take_over(named)
        except LookalikeError as error:
            if str(error) != str(self.problem):
                log.warning(f"not served: {error}")
            self.problem = error

    def _take_over(self, name: str) -> None:
        version = OpenVersion(open_index(self._root, name))
        described = version.manifest["model"]
        before, problem = self._serving, None
        if before and before.fingerprint == described["fingerprint"] and not before.photos.problem:
            photos = before.photos
        else:
            embedder = SingleEmbedder(self._root, described, self._decoders)
            try:
                embedder.load()
            except LookalikeError as error:
                log.warning(f"pictures from outside are not embedded: {error}")
                problem = error
            photos = Photos(embedder, problem)
        _try(version)
        self._serving, self.problem = Serving(self._root, version, photos), problem
        metrics.PICTURES.set(version.manifest["images"])
        metrics.VERSION.info({"version": name, "model": described["title"]})
        metrics.CHANGES.inc()
        log.info(f"serving version {name}, {version.manifest['images']:,} pictures")


def _try(version: OpenVersion) -> None:
    """Ask once, which compiles what is compiled and reads all hashes."""
    with version.gallery() as gallery:
        first = gallery.at(0)["id"]
    if asked := version.known(first):
        version.find(asked, 1, "sketch")
