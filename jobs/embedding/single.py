"""Embed pictures that are not in the index, by the model of the index."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import backbone_named
from jobs.embedding.decoders import Decoders
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights
from jobs.lsh.sketch import Floats
from jobs.store.embeddings import EmbeddingStore, ModelDescription
from jobs.store.root import DataRoot

if TYPE_CHECKING:
    from jobs.embedding.embedder import ImageEmbedder


class SingleEmbedder:
    """Embeds pictures from outside; as many threads may call it at once as there are decoders.

    The network is loaded with the first picture.
    """

    def __init__(self, root: DataRoot, described: ModelDescription, decoders: Decoders) -> None:
        """``described`` is what the index's manifest says of the model."""
        self._root, self._described, self._decoders = root, described, decoders
        self._backbone = backbone_named(described["architecture"])

    def pixels(self, content: bytes) -> NDArray[np.uint8]:
        """A picture file's bytes -> (side, side, 3) uint8 RGB. Raises BadPictureError with the reason."""
        return self._decoders.pixels(content, self._backbone, self._described["geometry"])

    def forward(self, pixels: NDArray[np.uint8]) -> Floats:
        """(n, side, side, 3) uint8 RGB -> (n, d) float32, not normalised.

        Raises LookalikeError if the weights of the index are not available.
        """
        return self._embedder.forward(pixels)

    def load(self) -> SingleEmbedder:
        """Load the network now. Raises LookalikeError as ``forward`` does."""
        assert self._embedder
        return self

    @cached_property
    def _embedder(self) -> ImageEmbedder:
        # PyTorch takes seconds to import.
        from jobs.embedding.embedder import ImageEmbedder

        described = self._described
        weights = find_weights(described["weights"], self._backbone)
        model = Model(self._backbone, weights, described["geometry"], described["precision"])
        if model.fingerprint != described["fingerprint"]:
            raise LookalikeError(
                f"weights {described['weights']} are not those that made the index "
                f"(fingerprint {model.fingerprint}, not {described['fingerprint']}): rebuild the index."
            )
        kept = EmbeddingStore(self._root.embeddings / model.fingerprint).openvino
        return ImageEmbedder(model, threads=len(self._decoders), kept=kept)
