"""From a picture to its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from jobs.base.machine import cores
from jobs.embedding.model import Model
from jobs.embedding.openvino import openvino_forward
from jobs.embedding.resize import from_image, resize, resized
from jobs.embedding.torch import torch_forward


def _load(model: Model) -> torch.nn.Module:
    # The network takes seconds to load, and OpenVINO's conversion of it may exist already.
    from jobs.embedding.network import load_network

    return load_network(model.backbone, model.weights)


class ImageEmbedder:
    """Embeds pictures by ``model``; up to ``threads`` threads may call it at once.

    >>> embedder = ImageEmbedder(Model(RESNET18, find_weights("imagenet", RESNET18)))
    >>> embedder(picture).shape, embedder([picture, picture]).shape
    ((512,), (2, 512))
    """

    def __init__(
        self,
        model: Model,
        *,
        runtime: str = "auto",
        device: str | None = None,
        threads: int | None = None,
        kept: Path | None = None,
    ) -> None:
        """``runtime`` is one of jobs/base/options.py; ``device`` is PyTorch's name for one.

        OpenVINO's conversion of the network is kept in the folder ``kept`` and reused from there, so
        that the next embedder starts in half the time.

        Raises LookalikeError if the weights can't be used or the processor lacks the precision.
        """
        self.model = model
        self.threads = threads or cores()
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if runtime == "torch" or (runtime == "auto" and device != "cpu"):
            self.forward, self.runtime = torch_forward(_load(model), model.backbone, model.precision, device)
        else:
            self.forward, self.runtime = openvino_forward(
                lambda: _load(model), model.backbone, model.precision, self.threads, kept
            )
        self.batch = 16 if device == "cpu" else 64
        """Pictures per call of ``forward``: enough for full speed, few enough to end together."""

    def __call__(self, images: Image.Image | Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed one RGB picture -> (d,), or n of them -> (n, d); float32, not normalised."""
        if isinstance(images, Image.Image):
            embedding: NDArray[np.float32] = self([images])[0]
            return embedding
        if not images:
            return np.empty((0, self.model.backbone.dimension), np.float32)
        resized = [resize(from_image(image), self.model.backbone, self.model.geometry) for image in images]
        return self.forward(np.stack([pixels.permute(1, 2, 0).numpy() for pixels in resized]))

    def pixels(self, content: bytes) -> NDArray[np.uint8]:
        """Decode a picture file's bytes and resize them: (side, side, 3) uint8 RGB.

        Raises BadPictureError with the reason.
        """
        return resized(content, self.model.backbone, self.model.geometry)
