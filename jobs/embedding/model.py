"""What determines an embedding, without loading any of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TypedDict

from jobs.base import options
from jobs.embedding.backbones import Backbone
from jobs.embedding.weights import Weights
from jobs.store.embeddings import Embedded

DECODING = 2
"""How jobs/intake/decode.py decodes a file: a higher number for every change of the pixels."""
RESIZED_QUALITY = 90
"""JPEG quality of the resized copies."""


class _Comparable(TypedDict):
    """What two models must have in common for their embeddings to be comparable."""

    architecture: str
    layer: str
    weights_sha256: str
    decoding: int
    geometry: str
    resize: str
    precision: str
    dimension: int


@dataclass(frozen=True)
class Model:
    """A backbone with weights, a geometry and a precision."""

    backbone: Backbone
    weights: Weights
    geometry: str = options.GEOMETRY.default
    precision: str = options.PRECISION.default

    @property
    def _comparable(self) -> _Comparable:
        return {
            "architecture": self.backbone.name,
            "layer": self.backbone.layer,
            "weights_sha256": self.weights.sha256,
            "decoding": DECODING,
            "geometry": self.geometry,
            "resize": "bilinear, antialiased, 8 bits",
            "precision": self.precision,
            "dimension": self.backbone.dimension,
        }

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal for models whose embeddings may be compared.

        It depends on the bytes of the weights, not on their name.
        """
        return hashlib.sha256(json.dumps(self._comparable, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def resized(self) -> str:
        """The name of the folder of resized copies: all that their pixels depend on besides the picture."""
        side, of = self.backbone.side, ""
        if self.geometry == "crop":
            of = f"-of-{self.backbone.crop}"
        elif self.geometry == "pad":
            of = "-on-" + "".join(f"{round(255 * mean):02x}" for mean in self.backbone.mean)
        return f"{self.geometry}-{side}{of}-bilinear-q{RESIZED_QUALITY}-d{DECODING}"

    @property
    def description(self) -> Embedded:
        """What is recorded beside the embeddings, in manifests and in answers."""
        return {
            **self._comparable,
            "fingerprint": self.fingerprint,
            "weights": self.weights.name,
            "title": self.backbone.title,
            "side": self.backbone.side,
            "licence": self.backbone.licence,
            "resized": self.resized,
        }
