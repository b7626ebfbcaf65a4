"""The usual ways to embed: one at a time by Pillow, torchvision and PyTorch, or by img2vec_pytorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from img2vec_pytorch import Img2Vec
from PIL import Image
from torchvision.transforms import v2

from jobs.base.machine import cores
from jobs.embedding.backbones import RESNET18
from jobs.embedding.network import load_network
from jobs.embedding.weights import Weights
from jobs.lsh.sketch import Floats

BATCH = 32

RESIZE = v2.Resize((RESNET18.side, RESNET18.side))
NORMALISE = v2.Normalize(RESNET18.mean, RESNET18.std)
PREPARE = v2.Compose([RESIZE, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), NORMALISE])
"""From Pillow's image to the network's input."""


def one_at_a_time(network: torch.nn.Module, files: Sequence[str]) -> Floats:
    """Embed each picture by itself, on all cores -> (n, 512)."""
    torch.set_num_threads(cores())
    with torch.inference_mode():
        return np.concatenate([network(PREPARE(_open(file))[None]).numpy() for file in files])


class SameWeights(Img2Vec):  # type: ignore[misc]  # the package has no types
    """img2vec_pytorch with our weights, instead of those it would download."""

    def __init__(self, weights: Weights) -> None:
        self._network = load_network(RESNET18, weights)
        super().__init__(model=RESNET18.name)

    def _get_resnet_model(self, model_name: str) -> Any:
        return self._network

    def one_by_one(self, files: Sequence[str]) -> Floats:
        torch.set_num_threads(cores())
        return np.stack([self.get_vec(_open(file)) for file in files])

    def in_batches(self, files: Sequence[str]) -> Floats:
        torch.set_num_threads(cores())
        batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
        return np.concatenate([self.get_vec([_open(file) for file in batch]) for batch in batches])


def _open(file: str) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")
