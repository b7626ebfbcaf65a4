"""A data root as the step embed leaves it, made without PyTorch from clustered random vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.catalog import write_catalog
from jobs.embeddings import EmbeddingStore
from jobs.paths import DataRoot, resized_file
from jobs.publish import write_json

FINGERPRINT = "0123456789abcdef"
MODEL = {"architecture": "resnet18", "weights": "random", "geometry": "squash", "dimension": 512}


def picture_id(number: int) -> str:
    return f"{number:032x}"


def unit_vectors(pictures: int, seed: int = 0, classes: int = 10) -> NDArray[np.float32]:
    """(pictures, 512) clustered vectors, not scaled; picture i belongs to class i % classes."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, 512))
    vectors = centres[np.arange(pictures) % classes] + 0.5 * generator.normal(size=(pictures, 512))
    return vectors.astype(np.float32)


def make_root(folder: Path, pictures: int = 60, seed: int = 0) -> tuple[DataRoot, NDArray[np.float32]]:
    """Write catalog, embeddings and 224 x 224 pictures; return the root and the embeddings."""
    root = DataRoot(folder)
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
