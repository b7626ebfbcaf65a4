"""A data root as the step embed leaves it, made without PyTorch from clustered random vectors, and an
index of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.base.atomic import write_json, write_text
from jobs.calibrate import calibrate_vectors
from jobs.gallery import lay_out_gallery
from jobs.index import LshParams, build_index
from jobs.neighbours import store_neighbours
from jobs.report import write_report
from jobs.store.catalog import read_catalog, write_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot, resized_file
from jobs.store.versions import CURRENT, Index
from jobs.vectors import assemble_vectors

FINGERPRINT = "0123456789abcdef"
MODEL: dict[str, Any] = {
    "architecture": "resnet18",
    "weights": "random",
    "geometry": "squash",
    "precision": "fp32",
    "dimension": 512,
}


def picture_id(number: int) -> str:
    return f"{number:032x}"


def unit_vectors(
    pictures: int, seed: int = 0, classes: int = 10, dimension: int = 512
) -> NDArray[np.float32]:
    """(pictures, dimension) clustered vectors, not scaled; picture i belongs to class i % classes."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, dimension))
    vectors = centres[np.arange(pictures) % classes] + 0.5 * generator.normal(size=(pictures, dimension))
    return vectors.astype(np.float32)


def make_root(
    folder: Path, pictures: int = 60, seed: int = 0, vectors: NDArray[np.float32] | None = None
) -> tuple[DataRoot, NDArray[np.float32]]:
    """Write catalog, embeddings and 224 x 224 pictures; return the root and the embeddings."""
    root = DataRoot(folder)
    if vectors is None:
        vectors = unit_vectors(pictures, seed)
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
                "mtime_ns": 1,
                "status": "ok",
                "reason": None,
            }
            for number, id_ in enumerate(ids)
        ],
        root,
    )
    write_json(root.catalog / "counts.json", {"source": "synthetic", "files": pictures})
    write_text(root.catalog / "duplicates.csv", "id,path,label,conflict\n")
    store = EmbeddingStore(root.embeddings / FINGERPRINT)
    store.describe(MODEL)
    half = pictures // 2
    store.write(ids[:half], vectors[:half])
    store.write(ids[half:], vectors[half:])
    store.write_csv()
    for number, id_ in enumerate(ids):
        file = resized_file(root, "squash", id_)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (224, 224), (number % 256, 80, 160)).save(file)
    return root, vectors


def make_index(root: DataRoot, params: LshParams | None = None) -> Index:
    """Assemble, calibrate and build, and let queries ask what comes of it, without a report."""
    assemble_vectors(root, FINGERPRINT)
    calibrate_vectors(root)
    index = build_index(root, params or LshParams())
    write_text(root.index / CURRENT, index.version)
    return index


def show_index(root: DataRoot) -> None:
    """What the steps after ``index`` add to the version that was built last."""
    store_neighbours(root)
    lay_out_gallery(root)
    write_report(root)


def keep(root: DataRoot, pictures: int) -> None:
    """Let the catalog hold only the first so many pictures."""
    write_catalog(read_catalog(root)[:pictures], root)
