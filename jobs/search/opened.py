"""An opened index: its files are mapped once and searched many times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from jobs.base.machine import cores
from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly
from jobs.lsh.sketch import Floats, Rows, Sketch
from jobs.lsh.splits import Ids
from jobs.store.packed import Part, load_sketch, open_parts
from jobs.store.versions import Index


@dataclass(frozen=True)
class Way:
    """How each part of an index is searched."""

    sketch: Sketch | None
    """None: all vectors are compared."""
    candidates: int = 0
    """Pictures per part that are re-ranked by exact distance, with a sketch."""

    def search(
        self, part: Part, queries: Floats, excluded: Ids, k: int, among: Rows | None = None
    ) -> tuple[Ids, Floats]:
        """The k nearest pictures of one part to each query, without the picture of id ``excluded``.

        With ``among`` only those rows, which ascend, are searched.
        """
        # One more than k, because a picture finds itself first.
        if self.sketch is None:
            rows, distances = nearest_exactly(part.vectors, queries, k + 1, among)
        else:
            rows, distances = nearest_by_sketch(
                self.sketch, part.codes, part.norms, part.vectors, queries, k + 1, self.candidates + 1, among
            )
        ids: Ids = part.ids[rows]
        itself = ids == excluded[:, None]
        ids[itself], distances[itself] = b"", np.inf
        return first(ids, distances, k)


EXACT = Way(None)


@cache
def _threads() -> ThreadPoolExecutor:
    """They search the parts of an index, one each: the work is done without Python's lock."""
    return ThreadPoolExecutor(cores(), "search")


@dataclass(frozen=True)
class OpenIndex:
    """The files of one index version, mapped into memory; several threads may search it at once.

    An answer is ids (q, k), 32 bytes each, and Euclidean distances (q, k), ascending by distance and
    then id; if there are fewer than k other pictures, the rest is ``b""`` and infinity. A query
    picture of the index is left out of its own answer.
    """

    packed: Path
    parts: tuple[Part, ...]
    sketch: Sketch | None
    """None: too few pictures to hash, search is exact."""
    candidates: int
    """Pictures that a query for ``k`` neighbours re-ranks, over all parts."""
    k: int
    """The k that ``candidates`` was calibrated for."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def _starts(self) -> Rows:
        """The first row of each part, and how many rows there are."""
        return np.cumsum([0, *(len(part.ids) for part in self.parts)])

    def way(self, k: int, *, exact: bool = False) -> Way:
        """By packed hashes; exactly if ``exact`` is set or there are none.

        Candidates grow in proportion if k is above the k of the calibration.
        """
        if exact or self.sketch is None:
            return EXACT
        wanted = math.ceil(self.candidates * max(1.0, k / self.k))
        return Way(self.sketch, candidates_per_part(wanted, len(self.parts)))

    def search(
        self,
        queries: Floats,
        own: Sequence[str | None],
        k: int,
        *,
        exact: bool = False,
        among: Rows | None = None,
    ) -> tuple[Ids, Floats]:
        """Search for (q, d) unit vectors; ``own[i]`` is the id of query i if it is in the index.

        With ``among`` only those pictures are searched: rows of the whole index, which ascend.
        """
        way, excluded = self.way(k, exact=exact), encoded(own)

        def search_part(number: int) -> tuple[Ids, Floats]:
            rows = None
            if among is not None:
                first, last = np.searchsorted(among, self._starts[number : number + 2])
                rows = among[first:last] - self._starts[number]
            return way.search(self.parts[number], queries, excluded, k, rows)

        numbers = range(len(self.parts))
        answers = list(
            _threads().map(search_part, numbers) if len(numbers) > 1 else map(search_part, numbers)
        )
        return merged(answers, k)

    def vector(self, id_: str) -> Floats | None:
        """The (1, d) unit vector of a picture; None if it is not in the index."""
        wanted = id_.encode()
        for part in self.parts:
            row = int(np.searchsorted(part.ids, wanted))
            if row < len(part.ids) and part.ids[row] == wanted:
                return np.array(part.vectors[row : row + 1])
        return None


def open_for_search(index: Index) -> OpenIndex:
    """Map the files of ``index``.

    Raises LookalikeError if they are missing, corrupt or of another format.
    """
    manifest = index.manifest()
    sketch = load_sketch(index.sketch) if manifest["search"] == "sketch" else None
    parts = tuple(open_parts(index.packed))
    return OpenIndex(index.packed, parts, sketch, manifest["candidates"], manifest["recall"]["k"])


def candidates_per_part(candidates: int, parts: int) -> int:
    """Enough that a part rarely misses one of the best ``candidates``: mean plus one standard deviation."""
    mean = candidates / parts
    return candidates if parts == 1 else math.ceil(mean + math.sqrt(mean))


def encoded(own: Sequence[str | None]) -> Ids:
    """Ids as arrays hold them; a query without an id matches no picture."""
    return np.array([(id_ or "-").encode() for id_ in own], "S32")


def merged(answers: Iterable[tuple[Ids, Floats]], k: int) -> tuple[Ids, Floats]:
    """The k nearest of what several parts found for the same queries."""
    ids, distances = (np.concatenate(arrays, axis=1) for arrays in zip(*answers, strict=True))
    return first(ids, distances, k)


def first(ids: Ids, distances: Floats, k: int) -> tuple[Ids, Floats]:
    """The k nearest of (q, m), ascending by distance and then id."""
    if missing := max(0, k - ids.shape[1]):
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=b"")
        distances = np.pad(distances, ((0, 0), (0, missing)), constant_values=np.inf)
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(distances, order, 1)
