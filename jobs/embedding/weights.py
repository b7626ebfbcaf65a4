"""ResNet-18's weights: ImageNet's, a file of one's own, or random ones. Found here, loaded by ``network``."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jobs.base.download import download, file_sha256
from jobs.base.errors import LookalikeError, UnreachableError

log = logging.getLogger(__name__)

IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
IMAGENET_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
IMAGENET_BYTES = 46_830_571
RANDOM_SEED = 0


@dataclass(frozen=True)
class Weights:
    """Where a ResNet-18 state dict lies and what it is."""

    name: str
    """``imagenet``, ``random`` or the file's absolute path: what ``find_weights`` takes again."""
    file: Path | None
    """None for random weights, which are drawn where they are needed."""
    sha256: str
    """Of the file's bytes."""


def find_weights(spec: str, *, random_if_unreachable: bool = False, patience_s: float = 60) -> Weights:
    """Find ``imagenet``, ``random`` or the state-dict file that ``spec`` names; nothing is loaded.

    ``imagenet`` is torchvision's IMAGENET1K_V1, hash-checked, from the torch cache or
    downloaded within ``patience_s`` seconds; where that fails and
    ``random_if_unreachable`` is set, random weights take its place, with a warning.

    Raises UnreachableError where ImageNet weights can't be had, LookalikeError where a
    file can't be read.
    """
    if spec == "random":
        return _random()
    if spec == "imagenet":
        return _imagenet(random_if_unreachable, patience_s)
    file = Path(spec).expanduser().absolute()
    try:
        return Weights(str(file), file, file_sha256(file))
    except OSError as error:
        raise LookalikeError(
            f"weights {file} can't be read ({error.strerror}): "
            "give imagenet, random or the path of a state dict."
        ) from error


def torch_cache() -> Path:
    """Where PyTorch itself keeps downloaded weights, by its documented rule, without importing it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def _imagenet(random_if_unreachable: bool, patience_s: float) -> Weights:
    cached = torch_cache() / Path(IMAGENET_URL).name
    try:
        download(
            IMAGENET_URL,
            cached,
            sha256=IMAGENET_SHA256,
            max_bytes=IMAGENET_BYTES,
            patience_s=patience_s,
        )
    except UnreachableError as error:
        if not random_if_unreachable:
            raise
        log.warning(
            f"{error} Until then random weights stand in for the sample: "
            "colours and shapes are compared, not what ImageNet taught."
        )
        return _random()
    return Weights("imagenet", cached, IMAGENET_SHA256)


def _random() -> Weights:
    # Another PyTorch may draw other numbers from the same seed.
    drawn = f"torch {version('torch')}, seed {RANDOM_SEED}"
    return Weights("random", None, hashlib.sha256(drawn.encode()).hexdigest())
