"""Rank pictures by what their packed hashes tell of them.

A BRP hash is ``h = floor(r . y / w)``: where it lies says to within a bucket what ``r . y`` was. All
hashes of a picture together say roughly what its reduced vector ``y`` was, so instead of asking which
pictures share a bucket, this module decodes: for hashes ``z = (h + 1/2) w`` of vectors with mean m and
covariance S, uniform rounding noise of variance ``w^2 / 12``, and the planes as rows of R, the linear
estimate of least mean squared error is

    y^ = m + S R' (R S R' + w^2/12 I)^-1 (z - R m)

(Kay, Fundamentals of Statistical Signal Processing: Estimation Theory, 1993, theorem 12.1). Pictures
are ranked by ``|y_query - y^|``; the query's own vector is not rounded. The best are then refined by
their true distances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BITS = 4
LEVELS = 1 << BITS

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """How hashes are packed and decoded: p reduced values, L hash tables."""

    components: Floats
    """(512, p): a unit vector times this is its reduced vector."""
    zero: NDArray[np.int32]
    """(L,): the hash that is packed as 0 in each table."""
    decoder: Floats
    """(p, L): the reduced vector's estimate is ``decoder @ codes + offset``."""
    offset: Floats
    """(p,)"""

    @property
    def row_bytes(self) -> int:
        """Bytes of one picture's packed codes."""
        return (len(self.zero) + 1) // 2

    def pack(self, hashes: NDArray[np.int32]) -> tuple[NDArray[np.uint8], int]:
        """Pack (n, L) hashes, two to a byte -> (n, row_bytes), and count those that were clipped."""
        shifted = hashes - self.zero
        codes = np.clip(shifted, 0, LEVELS - 1).astype(np.uint8)
        if codes.shape[1] % 2:
            codes = np.pad(codes, ((0, 0), (0, 1)))
        return codes[:, 0::2] | codes[:, 1::2] << BITS, int((shifted != codes[:, : shifted.shape[1]]).sum())

    def unpack(self, packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(n, row_bytes) -> (n, L) codes, 0 to 15."""
        codes = np.empty((len(packed), 2 * packed.shape[1]), np.uint8)
        codes[:, 0::2] = packed & LEVELS - 1
        codes[:, 1::2] = packed >> BITS
        return codes[:, : self.decoder.shape[1]]

    def decode(self, codes: NDArray[np.uint8]) -> Floats:
        """(n, L) codes -> (n, p) estimates of the reduced vectors."""
        decoded: Floats = codes.astype(np.float32) @ self.decoder.T + self.offset
        return decoded

    def save(self, file: Path) -> None:
        with file.open("wb") as opened:
            np.savez(opened, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, file: Path) -> Sketch:
        with np.load(file, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def make_sketch(
    components: NDArray[np.float64],
    planes: NDArray[np.float64],
    bucket_length: float,
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> Sketch:
    """Derive packing and decoding from the model and the moments of the reduced vectors.

    ``components`` (512, p), ``planes`` (L, p) unit rows, ``mean`` (p,), ``covariance`` (p, p).
    """
    centre = planes @ mean
    zero = np.floor(centre / bucket_length).astype(np.int32) - LEVELS // 2
    spread = planes @ covariance @ planes.T
    noise = bucket_length**2 / 12 * np.eye(len(planes))
    gain = np.linalg.solve(spread + noise, planes @ covariance).T
    offset = mean + gain @ ((zero + 0.5) * bucket_length - centre)
    return Sketch(
        components.astype(np.float32),
        zero,
        (gain * bucket_length).astype(np.float32),
        offset.astype(np.float32),
    )


def nearest_by_sketch(
    sketch: Sketch,
    packed: NDArray[np.uint8],
    vectors: Floats,
    queries: Floats,
    k: int,
    refined: int,
) -> tuple[NDArray[np.int64], Floats]:
    """Find the k rows of ``vectors`` nearest to each query, looking only at ``refined`` of them.

    ``packed`` (n, row_bytes) and ``vectors`` (n, 512) may be memory-mapped; ``queries`` (q, 512).
    Returns row numbers and Euclidean distances, (q, min(k, n)), ascending; ties go to the smaller
    row number.
    """
    reduced = queries @ sketch.components

    def score(rows: slice) -> Floats:
        # |y - y^|^2 without |y|^2, which is the same for all rows.
        decoded = sketch.decode(sketch.unpack(packed[rows]))
        scores: Floats = (decoded**2).sum(axis=1) - 2 * reduced @ decoded.T
        return scores

    return _refine(vectors, queries, scan(len(packed), max(refined, k), score), k)


def nearest_exactly(vectors: Floats, queries: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """Find the k rows of ``vectors`` (n, 512) nearest to each query (q, 512) by blocked matrix products.

    Returns the same as ``nearest_by_sketch``.
    """

    def score(rows: slice) -> Floats:
        block = vectors[rows]
        scores: Floats = (block**2).sum(axis=1) - 2 * queries @ block.T
        return scores

    # Twice as many as asked for: rounding may swap near ties, which true distances settle.
    return _refine(vectors, queries, scan(len(vectors), 2 * k, score), k)


def scan(rows: int, keep: int, score: Callable[[slice], Floats], block: int = 65_536) -> NDArray[np.int64]:
    """The ``keep`` rows of lowest score for each query, in no order: (q, min(keep, rows)).

    ``score`` gives (q, m) scores of the m rows of a slice.
    """
    best = np.empty((0, 0), np.int64)
    scores = np.empty((0, 0), np.float32)
    for start in range(0, rows, block):
        found = score(slice(start, min(start + block, rows)))
        numbers = np.broadcast_to(np.arange(start, start + found.shape[1]), found.shape)
        scores = np.concatenate([scores.reshape(len(found), -1), found], axis=1)
        best = np.concatenate([best.reshape(len(found), -1), numbers], axis=1)
        if scores.shape[1] > keep:
            kept = np.argpartition(scores, keep - 1, axis=1)[:, :keep]
            scores, best = np.take_along_axis(scores, kept, 1), np.take_along_axis(best, kept, 1)
    return best


def _refine(
    vectors: Floats, queries: Floats, candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], Floats]:
    """The k of each query's candidate rows that truly are nearest."""
    found = np.empty((len(queries), min(k, candidates.shape[1])), np.int64)
    distances = np.empty(found.shape, np.float32)
    for number, (query, rows) in enumerate(zip(queries, np.sort(candidates, axis=1), strict=True)):
        true = np.sqrt(((vectors[rows] - query) ** 2).sum(axis=1))
        order = np.argsort(true, kind="stable")[: found.shape[1]]
        found[number], distances[number] = rows[order], true[order]
    return found, distances
