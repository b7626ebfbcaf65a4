"""A backbone small enough to embed at once, which differs from ResNet-18 in every property of a backbone.

Everything stands in this module, so that processes that embed and Spark's workers can import it.
"""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

from jobs.embedding.backbones import BACKBONES, Backbone
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights


def build_toy() -> torch.nn.Module:
    """One convolution, its mean for each channel, and a last layer of three classes."""
    layers: list[tuple[str, torch.nn.Module]] = [
        ("conv", torch.nn.Conv2d(3, 8, 5, stride=3)),
        ("relu", torch.nn.ReLU()),
        ("pool", torch.nn.AdaptiveAvgPool2d(1)),
        ("flat", torch.nn.Flatten()),
        ("fc", torch.nn.Linear(8, 3)),
    ]
    return torch.nn.Sequential(OrderedDict(layers))


TOY = Backbone(
    name="toy",
    title="Toy",
    layer="pool",
    dimension=8,
    side=32,
    crop=36,
    mean=(0.25, 0.5, 0.75),
    std=(0.5, 0.25, 0.125),
    licence="none",
    build=build_toy,
    head="fc",
    imagenet=None,
)


def toy_model() -> Model:
    return Model(TOY, find_weights("random", TOY))


def register_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the backbone by its name."""
    monkeypatch.setitem(BACKBONES, TOY.name, TOY)
