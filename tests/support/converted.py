"""Random weights as OpenVINO takes them, converted once for all tests: that takes seconds."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from jobs.embedding.backbones import RESNET18
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot

MODEL = Model(RESNET18, find_weights("random", RESNET18))


def root_with_converted_weights(folder: Path) -> DataRoot:
    """A data root in which ``MODEL`` was used before."""
    root = DataRoot(folder)
    shutil.copytree(_converted(), EmbeddingStore(root.embeddings / MODEL.fingerprint).openvino)
    return root


@functools.cache
def _converted() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lookalike-converted-"))
    atexit.register(shutil.rmtree, folder)
    ImageEmbedder(MODEL, kept=folder / "openvino")
    return folder / "openvino"
