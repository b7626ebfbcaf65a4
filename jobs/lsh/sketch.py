"""Rank pictures by decoding their packed hashes.

A BRP hash is ``h = floor(r . y / w)``: where it lies says to within a bucket what ``r . y`` was. All
hashes of a picture together say roughly what its reduced vector ``y`` was, so instead of asking which
pictures share a bucket, this module decodes: for hashes ``z = (h + 1/2) w`` of vectors with mean m and
covariance S, uniform rounding noise of variance ``w^2 / 12``, and the planes as rows of R, the linear
estimate of least mean squared error is

    y^ = m + S R' (R S R' + w^2/12 I)^-1 (z - R m)

(Kay, Fundamentals of Statistical Signal Processing: Estimation Theory, 1993, theorem 12.1). Pictures
are ranked by ``|y_query - y^|``; the query's own vector is not rounded. As ``y^`` is linear in the
hashes, so is its product with a query, and ranking needs no decoding at all:

    |y - y^|^2 = |y^|^2 - weights(y) . codes + what is the same for all pictures

with ``|y^|^2`` stored beside the codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 4
LEVELS = 1 << BITS

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Sketch:
    """How hashes are packed and decoded: p reduced values, L hash tables."""

    components: Floats
    """(d, p): a unit vector times this is its reduced vector."""
    zero: NDArray[np.int32]
    """(L,): the hash that is packed as 0 in each table."""
    decoder: Floats
    """(p, L): the reduced vector's estimate is ``decoder @ codes + offset``."""
    offset: Floats
    """(p,)"""

    @property
    def row_bytes(self) -> int:
        """Bytes of one picture's packed codes and its norm."""
        return (len(self.zero) + 1) // 2 + 4

    def pack(self, hashes: NDArray[np.int32]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """Pack (n, L) hashes, two to a byte -> (n, (L + 1) // 2), and count the clipped of each row."""
        shifted = hashes - self.zero
        codes = np.clip(shifted, 0, LEVELS - 1).astype(np.uint8)
        clipped = (shifted != codes).sum(axis=1).astype(np.uint16)
        if codes.shape[1] % 2:
            codes = np.pad(codes, ((0, 0), (0, 1)))
        return codes[:, 0::2] | codes[:, 1::2] << BITS, clipped

    def unpack(self, packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(n, (L + 1) // 2) -> (n, L) codes, 0 to 15."""
        codes = np.empty((len(packed), 2 * packed.shape[1]), np.uint8)
        codes[:, 0::2] = packed & LEVELS - 1
        codes[:, 1::2] = packed >> BITS
        return codes[:, : self.decoder.shape[1]]

    def decode(self, codes: NDArray[np.uint8]) -> Floats:
        """(n, L) codes -> (n, p) estimates of the reduced vectors."""
        decoded: Floats = codes.astype(np.float32) @ self.decoder.T + self.offset
        return decoded

    def norms(self, packed: NDArray[np.uint8]) -> Floats:
        """(n, (L + 1) // 2) -> (n,) squared lengths of the estimates."""
        squares: Floats = (self.decode(self.unpack(packed)) ** 2).sum(axis=1)
        return squares

    def weights(self, queries: Floats) -> Floats:
        """(q, d) unit vectors -> (q, L): what a code counts for a query."""
        found = (queries @ self.components @ self.decoder).astype(np.float32, copy=False)
        return found + found


def make_sketch(
    components: NDArray[np.float64],
    planes: NDArray[np.float64],
    bucket_length: float,
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> Sketch:
    """Derive packing and decoding from the model and the moments of the reduced vectors.

    ``components`` (d, p), ``planes`` (L, p) unit rows, ``mean`` (p,), ``covariance`` (p, p).
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
