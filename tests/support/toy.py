"""Backbones so small that they embed in no time, and unlike ResNet-18 in all that a backbone tells of itself.

Everything stands in this module, so that processes that embed and Spark's workers can import it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from jobs.embedding.backbones import BACKBONES, Backbone
from jobs.embedding.model import Model
from jobs.embedding.weights import find_weights

if TYPE_CHECKING:
    import pytest


def build_toy(channels: int = 8) -> torch.nn.Module:
    """One convolution, its mean for each channel, and a last layer of three classes."""
    layers: list[tuple[str, torch.nn.Module]] = [
        ("conv", torch.nn.Conv2d(3, channels, 5, stride=3)),
        ("relu", torch.nn.ReLU()),
        ("pool", torch.nn.AdaptiveAvgPool2d(1)),
        ("flat", torch.nn.Flatten()),
        ("fc", torch.nn.Linear(channels, 3)),
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
WIDE_TOY = replace(TOY, name="wide", title="Wide toy", dimension=512, side=40, build=partial(build_toy, 512))
"""Another, of as many numbers as ResNet-18."""


def toy_model(backbone: Backbone = TOY) -> Model:
    return Model(backbone, find_weights("random", backbone))


def register_toy(monkeypatch: pytest.MonkeyPatch, backbone: Backbone = TOY) -> None:
    """Let this process find the backbone by its name."""
    monkeypatch.setitem(BACKBONES, backbone.name, backbone)
