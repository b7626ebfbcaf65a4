"""A data root as the step embed leaves it, made without PyTorch from clustered random vectors, and an
index of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.calibrate import calibrate_vectors
from jobs.gallery import lay_out_gallery
from jobs.index import LshParams, build_index
from jobs.neighbours import store_neighbours
from jobs.report import write_report
from jobs.store.catalog import Row, read_catalog, write_catalog
from jobs.store.embeddings import Embedded, EmbeddingStore
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import Index, point_to_index
from jobs.vectors import assemble_vectors

FINGERPRINT = "0123456789abcdef"
DIMENSION = 512


def model_of(dimension: int = DIMENSION) -> Embedded:
    """What is recorded of the model that made the vectors: none did."""
    return {
        "architecture": "resnet18",
        "title": "ResNet-18",
        "layer": "avgpool",
        "weights": "random",
        "weights_sha256": "0" * 64,
        "geometry": "squash",
        "resize": "bilinear",
        "precision": "fp32",
        "dimension": dimension,
        "side": SIDE,
        "licence": "none",
        "resized": RESIZED,
        "fingerprint": FINGERPRINT,
    }


SIDE, RESIZED = 32, "squash-32"
BESIDE = {
    "counts.json": json.dumps({"source": "synthetic", "files": 0}).encode(),
    "duplicates.csv": b"id,path,label,conflict\n",
}
"""What the step catalog leaves beside the rows."""


def picture_id(number: int) -> str:
    return f"{number:032x}"


def unit_vectors(
    pictures: int, seed: int = 0, classes: int = 10, dimension: int = DIMENSION
) -> NDArray[np.float32]:
    """(pictures, dimension) clustered vectors, not scaled; picture i belongs to class i % classes."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, dimension))
    vectors = centres[np.arange(pictures) % classes] + 0.5 * generator.normal(size=(pictures, dimension))
    return vectors.astype(np.float32)


def make_root(
    folder: Path,
    pictures: int = 60,
    seed: int = 0,
    vectors: NDArray[np.float32] | None = None,
    dimension: int = DIMENSION,
) -> tuple[DataRoot, NDArray[np.float32]]:
    """Write catalog, embeddings and resized pictures; return the root and the embeddings."""
    root = DataRoot(folder)
    if vectors is None:
        vectors = unit_vectors(pictures, seed, dimension=dimension)
    ids = [picture_id(number) for number in range(pictures)]
    write_catalog(
        [
            {
                "id": id_,
                "path": f"/pictures/{number:05d}.jpg",
                "split": "train",
                "label": str(number % 10),
                "class_name": f"Class {number % 10}",
                "width": 320,
                "height": 240,
                "mode": "RGB",
                "size_bytes": 1000,
                "stamp": "1",
                "status": "ok",
                "reason": None,
            }
            for number, id_ in enumerate(ids)
        ],
        root,
        BESIDE,
    )
    store = EmbeddingStore(root.embeddings / FINGERPRINT)
    store.describe(model_of(vectors.shape[1]))
    half = pictures // 2
    store.write(ids[:half], vectors[:half])
    store.write(ids[half:], vectors[half:])
    store.write_csv()
    for number, id_ in enumerate(ids):
        file = resized_file(root, RESIZED, id_)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (number % 256, 80, 160)).save(file)
    return root, vectors


def make_index(root: DataRoot, params: LshParams | None = None) -> Index:
    """Assemble, calibrate, build and publish, without what the steps after ``index`` add."""
    assemble_vectors(root, FINGERPRINT)
    calibrate_vectors(root)
    index = build_index(root, params or LshParams())
    point_to_index(root, CURRENT, index)
    return index


def make_searchable(root: DataRoot, params: LshParams | None = None) -> Index:
    """As ``make_index``, and what a query needs."""
    index = make_index(root, params)
    store_neighbours(root)
    lay_out_gallery(root)
    return index


def show_index(root: DataRoot) -> None:
    """What the steps after ``index`` add to the version that was built last."""
    store_neighbours(root)
    lay_out_gallery(root)
    write_report(root)


def keep(root: DataRoot, pictures: int) -> None:
    """Let the catalog hold only the first so many pictures."""
    take(root, read_catalog(root)[:pictures])


def take(root: DataRoot, rows: list[Row]) -> str:
    """Let the catalog hold these rows; return its name."""
    return write_catalog(rows, root, BESIDE)
