"""Answer questions from one opened version of the index, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from textwrap import shorten
from threading import Lock

import numpy as np
from typing_extensions import TypedDict

from jobs.base.errors import NotFoundError
from jobs.base.text import plain
from jobs.lsh.sketch import Rows
from jobs.search.lookup import Asked, caption_of
from jobs.search.opened import open_for_search
from jobs.store.answers import Answer, Caption, Neighbour, SearchedIndex
from jobs.store.gallery import Gallery, Row, connect, readable_gallery
from jobs.store.manifest import Manifest, Recall
from jobs.store.reports import Scale, scale_of
from jobs.store.versions import Index

NO_HASHES = "The index has no hashes, because its pictures are few or all alike, so the search is exact."
CLASSES_KEPT = 64


class Found(TypedDict):
    """What an answer says; all of it comes from one version."""

    query: Caption
    k: int
    class_name: str | None
    """Only pictures of this class were searched; None: all."""
    method: str
    """``sketch`` or ``exact``: the search that answered, not always the one that was requested. Or
    ``stored``: the neighbours that were found when the index was built."""
    note: str | None
    """Why it is another one, or why there are fewer neighbours."""
    neighbours: list[Neighbour]
    """Ascending by distance; without the query picture itself."""
    version: str
    pictures: int
    """How many the version holds."""
    recall: Recall
    """As it was measured on the version, of ``sketch``; that of ``exact`` is 1."""
    scale: Scale | None
    """What distances mean in the version; None if it has no report."""
    milliseconds: dict[str, float]
    """By stage."""


class Stages(dict[str, float]):
    """Milliseconds that the stages of an answer took."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self[name] = round(1000 * (time.perf_counter() - start), 3)


class OpenVersion:
    """A version of the index, opened once; several threads may ask it at once, also after it was removed.

    Raises LookalikeError if a file is missing, corrupt or of another format.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.manifest: Manifest = index.manifest()
        self.scale = scale_of(index)
        self.opened = open_for_search(index)
        with readable_gallery(index):
            # Opened once, so that it can be read after the version was removed.
            self._gallery = Gallery(connect(index, any_thread=True))
        self._lock = Lock()
        with self.gallery() as gallery:
            self.classes = {row["name"]: row["pictures"] for row in gallery.classes() if row["name"]}
        self.rows_of = lru_cache(CLASSES_KEPT)(self._rows_of)

    @contextmanager
    def gallery(self) -> Iterator[Gallery]:
        """For one thread at a time. Raises LookalikeError if the database turns out to be corrupt."""
        with self._lock, readable_gallery(self.index):
            yield self._gallery

    def _rows_of(self, class_name: str) -> Rows:
        """The pictures of a class, ascending. Raises NotFoundError if there is no such class."""
        if class_name not in self.classes:
            raise NotFoundError(
                f"the index holds no class {shorten(plain(class_name), 100)!r}: choose another."
            )
        with self.gallery() as gallery:
            return np.array(gallery.rows_of(class_name), np.int64)

    def known(self, id_: str) -> Asked | None:
        """A picture of the index by its id."""
        vector = self.opened.vector(id_)
        if vector is None:
            return None
        with self.gallery() as gallery:
            picture = gallery.picture(id_)
        return Asked(caption_of(picture), vector) if picture else None

    def find(
        self, asked: Asked, k: int, method: str, class_name: str | None = None, stages: Stages | None = None
    ) -> Found:
        """The k nearest neighbours, as the DAG ``similarity_query`` finds them; of one class if it is named.

        ``stages`` gets what searching and captions took; what it holds already is told as well.
        Raises NotFoundError if there is no such class.
        """
        among = None if class_name is None else self.rows_of(class_name)
        stages = Stages() if stages is None else stages
        own, note = asked.caption["id"], None
        if method == "sketch" and self.opened.sketch is None:
            method, note = "exact", NO_HASHES
        with stages("search"):
            ids, distances = self.opened.search(asked.vector, [own], k, exact=method == "exact", among=among)
        found = [
            (id_, distance)
            for id_, distance in zip(ids[0].astype(str).tolist(), distances[0].tolist(), strict=True)
            if id_
        ]
        if len(found) < k:
            where = "The index" if class_name is None else f"Class {class_name!r}"
            note = f"{where} holds {len(found)} other pictures, fewer than the {k} requested."
        with stages("captions"), self.gallery() as gallery:
            captions = gallery.captions([id_ for id_, _ in found])
        return Found(
            query=asked.caption,
            k=k,
            class_name=class_name,
            method=method,
            note=note,
            neighbours=[
                Neighbour(**caption_of(captions[id_]), rank=rank, distance=distance)
                for rank, (id_, distance) in enumerate(found, start=1)
            ],
            version=self.index.version,
            pictures=self.manifest["images"],
            recall=self.manifest["recall"],
            scale=self.scale,
            milliseconds=stages,
        )

    def stored(self, id_: str, k: int) -> Found:
        """The neighbours that were stored with the index, at most ``k``.

        Raises NotFoundError if the index holds no such picture.
        """
        stages = Stages()
        with stages("look_up"), self.gallery() as gallery:
            picture = picture_of(gallery, id_)
            near = gallery.neighbours(picture)[:k]
        return Found(
            query=caption_of(picture),
            k=k,
            class_name=None,
            method="stored",
            note=f"The index stores {len(near)} neighbours of a picture." if len(near) < k else None,
            neighbours=[
                Neighbour(**caption_of(other), rank=other["rank"], distance=other["distance"])
                for other in near
            ],
            version=self.index.version,
            pictures=self.manifest["images"],
            recall=self.manifest["recall"],
            scale=self.scale,
            milliseconds=stages,
        )

    def recorded(self, found: Found) -> Answer:
        """An answer of this version as the DAG records it."""
        return Answer(
            query=found["query"],
            k=found["k"],
            method=found["method"],
            note=found["note"],
            overlap=None,
            neighbours=found["neighbours"],
            index=searched_index(self.index.version, self.manifest),
            model=self.manifest["model"],
        )


def picture_of(gallery: Gallery, id_: str) -> Row:
    """Raises NotFoundError if the index holds no such picture."""
    if picture := gallery.picture(id_):
        return picture
    raise NotFoundError(f"the index holds no picture with id {id_}: choose another.")


def searched_index(version: str, manifest: Manifest) -> SearchedIndex:
    """What an answer says of the version that gave it."""
    return SearchedIndex(
        version=version,
        images=manifest["images"],
        lsh=manifest["lsh"],
        recall=manifest["recall"],
        candidates_fraction=manifest["candidates_fraction"],
    )
