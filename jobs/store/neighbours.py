"""``index/<version>/neighbours``: Parquet, each picture's nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.base.errors import LookalikeError
from jobs.lsh.sketch import Floats
from jobs.lsh.splits import Ids
from jobs.store.reading import readable
from jobs.store.versions import Index


def read_neighbours(index: Index, ids: Ids) -> tuple[NDArray[np.int64], Floats]:
    """Every picture's neighbours as rows of ``ids`` (ascending), and their distances: (n, k) both.

    Raises LookalikeError if they are missing or corrupt.
    """
    check_neighbours(index)
    with readable(index.neighbours, _remedy(index)):
        table = pq.read_table(index.neighbours).sort_by("id")
        pairs = table["neighbours"].combine_chunks()
        counts = pairs.value_lengths().to_numpy()
        others, distances = (pairs.flatten().field(name) for name in ("id", "distance"))
        rows = np.searchsorted(ids, np.array(others.to_pylist(), "S32"))
        # All have the same number, since every picture has the same number of others.
        shape = (len(counts), int(counts[0]))
        return rows.reshape(shape), distances.to_numpy().reshape(shape)


def check_neighbours(index: Index) -> None:
    """Raises LookalikeError if those of some pictures are missing; values are not read."""
    with readable(index.neighbours, _remedy(index)):
        there: Any = pyarrow.dataset.dataset(index.neighbours).count_rows()
    pictures = index.manifest()["images"]
    if there != pictures:
        raise LookalikeError(
            f"{index.neighbours} holds those of {there:,} of {pictures:,} pictures: {_remedy(index)}."
        )


def _remedy(index: Index) -> str:
    return f"run the step neighbours of index version {index.version} again"
