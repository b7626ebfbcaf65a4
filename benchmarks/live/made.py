"""A published index of any number of pictures, with what a search and the pages need, made without Spark."""

from __future__ import annotations

import numpy as np

from benchmarks.search.hashed import Hashes, draw_planes, moments_of
from benchmarks.viewers import make_gallery
from jobs.embedding.backbones import RESNET18
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.lsh.sketch import Floats
from jobs.store.embeddings import EmbeddingStore
from jobs.store.packed import Listed, Part, list_parts, save_sketch
from jobs.store.root import DataRoot
from jobs.store.versions import Index

TABLES, REDUCED, BUCKET_LENGTH = 64, 32, 0.05
SAMPLE = 8_000
ROWS_PER_PART = 250_000
CENTRES, SPREAD = 500, 0.7


def make_served(root: DataRoot, pictures: int, candidates: int) -> Index:
    """Publish an index of random vectors around some centres; every tile shows the same picture."""
    index = make_gallery(root, pictures)
    model = Model(RESNET18, find_weights("random", RESNET18))
    store = EmbeddingStore(root.embeddings / model.fingerprint)
    store.describe(model.description)
    ImageEmbedder(model, kept=store.openvino)
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CENTRES, RESNET18.dimension), dtype=np.float32)

    def draw(count: int) -> Floats:
        rows = centres[generator.integers(0, CENTRES, count)]
        rows = rows + SPREAD * generator.standard_normal(rows.shape, dtype=np.float32)
        unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    moments, planes = moments_of(draw(SAMPLE)), draw_planes(0, TABLES, REDUCED)
    index.packed.mkdir()
    listed = []
    for number, first in enumerate(range(0, pictures, ROWS_PER_PART)):
        last = min(pictures, first + ROWS_PER_PART)
        vectors = draw(last - first)
        hashes = Hashes.of(vectors, moments, planes, BUCKET_LENGTH)
        ids = np.array([f"{row:032x}" for row in range(first, last)], "S32")
        clipped = np.zeros(len(ids), np.uint16)
        name = f"part-{number:05d}"
        Part(ids, hashes.codes, hashes.norms, clipped, vectors).save(str(index.packed / name))
        listed.append(Listed(name=name, pictures=len(ids)))
    list_parts(index.packed, RESNET18.dimension, listed)
    save_sketch(index.sketch, hashes.sketch)
    manifest = index.manifest()
    index.record({**manifest, "search": "sketch", "candidates": candidates})
    return index
