"""Random weights as OpenVINO takes them, converted once for all tests: that takes seconds."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from jobs.embedding.backbones import DEFAULT
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot
from tests.support.toy import toy_model

MODEL = toy_model()
"""What tests embed by where it need not be a whole network."""
BY_DEFAULT = Model(DEFAULT, find_weights("random", DEFAULT))
"""What a command embeds by that is given random weights."""


def root_with_converted_weights(folder: Path, model: Model = MODEL) -> DataRoot:
    """A data root in which ``model`` was used before."""
    root = DataRoot(folder)
    shutil.copytree(_converted(model), EmbeddingStore(root.embeddings / model.fingerprint).openvino)
    return root


@functools.cache
def _converted(model: Model) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lookalike-converted-"))
    atexit.register(shutil.rmtree, folder)
    ImageEmbedder(model, kept=folder / "openvino")
    return folder / "openvino"
