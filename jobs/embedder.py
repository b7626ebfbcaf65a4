"""From a picture to 512 numbers: ResNet-18's second-to-last layer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.models import resnet18
from torchvision.transforms import v2

from jobs.embeddings import DIMENSION
from jobs.weights import Weights

SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Per channel, of ImageNet; torchvision's weights were trained on pictures normalised so."""


MAX_ASPECT = 16
_CROP = v2.Compose([v2.Resize(256), v2.CenterCrop(SIDE)])


def _pad(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    size = [max(1, round(side * scale)) for side in (image.height, image.width)]
    grey = tuple(round(255 * mean) for mean in MEAN)
    padded = Image.new("RGB", (SIDE, SIDE), grey)
    padded.paste(v2.functional.resize(image, size), ((SIDE - size[1]) // 2, (SIDE - size[0]) // 2))
    return padded


def _crop(image: Image.Image) -> Image.Image:
    # A picture thin as a thread would be blown up to gigabytes; its centre is all that is kept anyway.
    longest = MAX_ASPECT * min(image.size)
    centre = v2.functional.center_crop(image, [min(longest, side) for side in image.size[::-1]])
    cropped: Image.Image = _CROP(centre)
    return cropped


GEOMETRIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "squash": v2.Resize((SIDE, SIDE)),
    "crop": _crop,
    "pad": _pad,
}
"""Ways to bring an RGB picture of any size to 224 x 224: squash both sides, centre crop, pad with grey."""

DEFAULT_GEOMETRY = "squash"


class ImageEmbedder:
    """Embeds pictures with ResNet-18 on the GPU where there is one, else on the processor.

    >>> embedder = ImageEmbedder(load_weights("imagenet"))
    >>> embedder(picture).shape, embedder([picture, picture]).shape
    ((512,), (2, 512))
    """

    def __init__(
        self, weights: Weights, *, geometry: str = DEFAULT_GEOMETRY, device: str | None = None
    ) -> None:
        self.weights = weights
        self.geometry = geometry
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model = resnet18(weights=None)
        model.load_state_dict(weights.state_dict)
        model.fc = torch.nn.Identity()
        self._model = model.eval().to(self.device, memory_format=torch.channels_last)
        self._normalise = v2.Compose(
            [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        )

    def __call__(self, images: Image.Image | Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed one RGB picture -> (512,), or n of them -> (n, 512); float32, not normalised."""
        if isinstance(images, Image.Image):
            embedding: NDArray[np.float32] = self([images])[0]
            return embedding
        return self.embed_resized([self.resize(image) for image in images])

    def resize(self, image: Image.Image) -> Image.Image:
        """Bring an RGB picture to 224 x 224 by the embedder's geometry."""
        return GEOMETRIES[self.geometry](image)

    def embed_resized(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Embed n RGB pictures of 224 x 224 in one batch -> (n, 512) float32."""
        if not images:
            return np.empty((0, DIMENSION), np.float32)
        batch = torch.stack([self._normalise(image) for image in images])
        with torch.inference_mode():
            batch = batch.to(self.device, memory_format=torch.channels_last)
            embeddings: NDArray[np.float32] = self._model(batch).float().cpu().numpy()
        return embeddings

    @property
    def description(self) -> dict[str, Any]:
        """What makes two embeddings comparable: the manifest's ``model``, without fingerprint."""
        return {
            "architecture": "resnet18",
            "layer": "avgpool",
            "weights": self.weights.name,
            "weights_sha256": self.weights.sha256,
            "geometry": self.geometry,
            "precision": "fp32",
            "dimension": DIMENSION,
        }

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal for embedders whose vectors may be compared.

        The weights count by their values; the name they go by does not.
        """
        told = {key: value for key, value in self.description.items() if key != "weights"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
