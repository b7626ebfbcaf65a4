"""The networks that turn pictures into embeddings. Whatever is specific to one network is only here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.base.errors import LookalikeError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pretrained:
    """A state dict that its authors publish."""

    url: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Backbone:
    """A network without its last layer, and what it expects of a picture.

    Never change the values behind a name: the name is part of a model's fingerprint, the values are not.
    """

    name: str
    title: str
    """The name, for people."""
    layer: str
    """The layer whose output is the embedding."""
    dimension: int
    side: int
    """Width and height of the embedded square, in pixels."""
    crop: int
    """The length that a picture's shorter side is scaled to before its centre is cropped, in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Per channel, on a scale of 0 to 1: how pictures were normalised in training."""
    licence: str
    """Of the pretrained weights."""
    build: Callable[[], torch.nn.Module]
    """Makes the whole network, to load a state dict into: (n, 3, side, side) -> its last layer's output."""
    head: str
    """The attribute that holds the last layer, which is left out."""
    imagenet: Pretrained | None
    """Weights trained on ImageNet; None if there are none."""


def build_resnet18() -> torch.nn.Module:
    # Torchvision takes seconds to import.
    from torchvision.models import resnet18

    network: torch.nn.Module = resnet18(weights=None)
    return network


RESNET18 = Backbone(
    name="resnet18",
    title="ResNet-18",
    layer="avgpool",
    dimension=512,
    side=224,
    crop=256,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    licence="BSD-3-Clause",
    build=build_resnet18,
    head="fc",
    imagenet=Pretrained(
        url="https://download.pytorch.org/models/resnet18-f37072fd.pth",
        sha256="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        bytes=46_830_571,
    ),
)

BACKBONES = {RESNET18.name: RESNET18}
DEFAULT = RESNET18


def backbone_named(name: str) -> Backbone:
    """Raises LookalikeError if there is no such backbone."""
    try:
        return BACKBONES[name]
    except KeyError as error:
        raise LookalikeError(
            f"backbone {name!r} is unknown: choose one of {', '.join(BACKBONES)}."
        ) from error
