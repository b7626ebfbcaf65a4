"""Embed one picture that is not in the index, by the model of the index."""

from __future__ import annotations

from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import backbone_named
from jobs.embedding.copies import save_copy
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.lsh.sketch import Floats
from jobs.store.embeddings import EmbeddingStore, ModelDescription
from jobs.store.root import DataRoot


def embed_single(root: DataRoot, described: ModelDescription, content: bytes, copy: Path) -> Floats:
    """A picture file's bytes -> its (1, d) embedding, not normalised; write the resized copy to ``copy``.

    Raises BadPictureError with the reason if it can't be decoded, LookalikeError if the weights of the
    index are not available.
    """
    # PyTorch takes seconds to import.
    from jobs.embedding.embedder import ImageEmbedder

    backbone = backbone_named(described["architecture"])
    weights = find_weights(described["weights"], backbone)
    model = Model(backbone, weights, described["geometry"], described["precision"])
    if model.fingerprint != described["fingerprint"]:
        raise LookalikeError(
            f"weights {described['weights']} are not those that made the index "
            f"(fingerprint {model.fingerprint}, not {described['fingerprint']}): rebuild the index."
        )
    embedder = ImageEmbedder(model, kept=EmbeddingStore(root.embeddings / model.fingerprint).openvino)
    pixels = embedder.pixels(content)
    save_copy(pixels, copy)
    return embedder.forward(pixels[None])
