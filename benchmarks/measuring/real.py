"""Stanford Cars through the project's own catalog and embedding, for benchmarks to start from."""

from __future__ import annotations

import os

import numpy as np

from jobs.base import options
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedding.backbones import RESNET18
from jobs.embedding.model import Model
from jobs.embedding.shards import Picture
from jobs.embedding.weights import Weights, find_weights
from jobs.intake.stanford_cars import stanford_cars
from jobs.lsh.sketch import Floats
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot


def catalog_cars(root: DataRoot) -> None:
    """Write the catalog of the labelled pictures into ``root``.

    Downloaded pictures stay in the usual data root for the next time.
    """
    build_catalog(stanford_cars(DataRoot.from_env(), with_test=False), root)


def usable_pictures(root: DataRoot) -> list[Picture]:
    """The catalog's usable pictures, each once, sorted by content hash: the first n are a random sample."""
    paths: dict[str, tuple[str, ...]] = {}
    for row in read_catalog(root):
        if row["status"] == "ok":
            paths[row["id"]] = (*paths.get(row["id"], ()), row["path"])
    return [Picture(id_, paths[id_]) for id_ in sorted(paths)]


def chosen_weights() -> Weights:
    """The weights that LOOKALIKE_WEIGHTS names."""
    return find_weights(os.environ.get("LOOKALIKE_WEIGHTS", options.WEIGHTS.default), RESNET18)


def embed_cars(root: DataRoot, geometry: str = options.GEOMETRY.default) -> str:
    """Embed the catalog of ``root`` with the chosen weights -> the fingerprint."""
    model = Model(RESNET18, chosen_weights(), geometry)
    fingerprint: str = embed_catalog(root, model)["fingerprint"]
    return fingerprint


def unit_vectors(root: DataRoot, fingerprint: str) -> Floats:
    """The embeddings of one model -> (n, 512) distinct vectors of length 1."""
    embeddings = EmbeddingStore(root.embeddings / fingerprint).read()[1]
    unit: Floats = np.unique(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), axis=0)
    return unit
