"""How often a picture's nearest neighbours are of its own class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def precision_at(
    embeddings: NDArray[np.float32], labels: Sequence[str], ks: Sequence[int]
) -> dict[int, float]:
    """Mean share of the k exact nearest neighbours that have the query's label, each picture asked once.

    ``embeddings`` is (n, d); neighbours are by Euclidean distance after scaling to length 1,
    the picture itself left out.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    classes = np.unique(np.array(labels), return_inverse=True)[1]
    deepest = max(ks)
    same = []
    for start in range(0, len(unit), 1024):
        cosine = unit[start : start + 1024] @ unit.T
        rows = np.arange(len(cosine))
        cosine[rows, start + rows] = -np.inf
        top = np.argpartition(-cosine, deepest, axis=1)[:, :deepest]
        order = np.take_along_axis(top, np.argsort(-np.take_along_axis(cosine, top, 1), axis=1), 1)
        same.append(classes[order] == classes[start + rows, None])
    hits = np.concatenate(same)
    return {k: float(hits[:, :k].mean()) for k in ks}
