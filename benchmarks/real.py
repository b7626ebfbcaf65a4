"""Stanford Cars through the project's own catalog and embedding, for benchmarks to start from."""

from __future__ import annotations

import os

import numpy as np

from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedder import DEFAULT_GEOMETRY, ImageEmbedder
from jobs.embeddings import EmbeddingStore
from jobs.paths import DataRoot
from jobs.sketch import Floats
from jobs.sources.stanford_cars import stanford_cars
from jobs.weights import load_weights


def catalog_cars(root: DataRoot) -> None:
    """Write the catalog of the labelled pictures into ``root``.

    Where they must be downloaded, they stay in the usual data root for the next time.
    """
    build_catalog(stanford_cars(DataRoot.from_env(), with_test=False), root)


def embed_cars(root: DataRoot, geometry: str = DEFAULT_GEOMETRY) -> str:
    """Embed the catalog of ``root`` with the weights of LOOKALIKE_WEIGHTS -> the fingerprint."""
    weights = load_weights(os.environ.get("LOOKALIKE_WEIGHTS", "imagenet"))
    fingerprint: str = embed_catalog(root, ImageEmbedder(weights, geometry=geometry))["fingerprint"]
    return fingerprint


def unit_vectors(root: DataRoot, fingerprint: str) -> Floats:
    """The embeddings of one model -> (n, 512) different vectors of length 1."""
    embeddings = EmbeddingStore(root.embeddings / fingerprint).read()[1]
    unit: Floats = np.unique(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), axis=0)
    return unit
