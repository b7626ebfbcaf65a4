"""What makes an embedding what it is, without loading any of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from jobs.embedding.weights import Weights
from jobs.store.embeddings import DIMENSION

SIDE = 224
"""Width and height, in pixels, of what is embedded."""

GEOMETRIES = ("squash", "crop", "pad")
"""Ways to bring a picture of any size to 224 x 224: squash both sides, centre crop, pad with grey."""

PRECISIONS = ("fp32", "bf16")
"""What is multiplied: IEEE single precision (no TF32), or bfloat16 summed in single precision."""

RUNTIMES = ("auto", "openvino", "torch")
"""What multiplies; it leaves its mark on the last digits only. ``auto`` is PyTorch where there is a GPU,
else OpenVINO."""


@dataclass(frozen=True)
class Model:
    """ResNet-18 with these weights, on pictures resized so, at this precision."""

    weights: Weights
    geometry: str = "squash"
    precision: str = "fp32"

    @property
    def description(self) -> dict[str, Any]:
        """What makes two embeddings comparable: the manifest's ``model``, without fingerprint."""
        return {
            "architecture": "resnet18",
            "layer": "avgpool",
            "weights": self.weights.name,
            "weights_sha256": self.weights.sha256,
            "geometry": self.geometry,
            "resize": "bilinear, antialiased, 8 bits",
            "precision": self.precision,
            "dimension": DIMENSION,
        }

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal for models whose embeddings may be compared.

        The weights count by their bytes; the name they go by does not.
        """
        told = {key: value for key, value in self.description.items() if key != "weights"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
