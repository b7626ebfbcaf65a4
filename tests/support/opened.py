"""An index that NumPy made, without Spark: packed parts, sketch, and a gallery, opened for search."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from jobs.lsh.sketch import Floats, Sketch, make_sketch
from jobs.lsh.splits import Ids
from jobs.search.opened import OpenIndex
from jobs.store.gallery import ALL, SCHEMA
from jobs.store.packed import Listed, Part, list_parts, open_parts
from jobs.store.versions import Index
from tests.support.synthetic import picture_id, unit_vectors

WIDTH, TABLES, REDUCED = 0.05, 64, 8


def scaled_vectors(pictures: int, dimension: int, seed: int = 0) -> Floats:
    """(pictures, dimension) clustered unit vectors."""
    vectors = unit_vectors(pictures, seed, dimension=dimension)
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def write_index(
    folder: Path, vectors: Floats, parts: int, *, hashed: bool = True, ids: Sequence[str] | None = None
) -> OpenIndex:
    """Pack (n, d) unit vectors of pictures 0 ... n - 1, or of ``ids``, in so many parts and open them."""
    sketch, codes, norms, clipped = _hashed(vectors)
    packed: Ids = np.array(ids or [picture_id(number) for number in range(len(vectors))], "S32")
    folder.mkdir(parents=True)
    listed = []
    for number, rows in enumerate(np.array_split(np.arange(len(vectors)), parts)):
        part = Part(packed[rows], codes[rows], norms[rows], clipped[rows], vectors[rows])
        part.save(str(folder / f"part-{number:05d}"))
        listed.append(Listed(name=f"part-{number:05d}", pictures=len(rows)))
    list_parts(folder, vectors.shape[1], listed)
    return OpenIndex(folder, tuple(open_parts(folder)), sketch if hashed else None, len(vectors) // 4, 5)


def _hashed(vectors: Floats) -> tuple[Sketch, np.ndarray, Floats, np.ndarray]:
    components = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2].T[:, :REDUCED]
    planes = np.random.default_rng(1).normal(size=(TABLES, REDUCED))
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    reduced = vectors.astype(float) @ components
    sketch = make_sketch(
        components.astype(float), planes, WIDTH, reduced.mean(axis=0), np.cov(reduced, rowvar=False)
    )
    codes, clipped = sketch.pack(np.floor(reduced @ planes.T / WIDTH).astype(np.int32))
    return sketch, codes, sketch.norms(codes), clipped


def write_gallery(index: Index, paths: list[str]) -> None:
    """A gallery of pictures 0 ... n - 1 at ``paths``, without neighbours."""
    index.folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(index.gallery_file)) as database, database:
        database.executescript(SCHEMA)
        database.executemany(
            "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (row, picture_id(row), path, path.rpartition("/")[2], "1", "Class 1", row)
                for row, path in enumerate(paths)
            ),
        )
        database.execute("INSERT INTO classes VALUES (?, NULL, ?, ?)", (ALL, len(paths), len(paths)))
