"""Find a backbone's weights: ImageNet's, your own file, or random ones; ``network`` loads them."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from jobs.base.download import download, file_sha256
from jobs.base.errors import LookalikeError, UnreachableError
from jobs.embedding.backbones import Backbone
from jobs.intake.named import named_path

log = logging.getLogger(__name__)

RANDOM_SEED = 0
MAX_BYTES = 4_000_000_000
"""Of a file of one's own; the largest vision transformers have 2 GB."""


@dataclass(frozen=True)
class Weights:
    """A state dict that was found."""

    name: str
    """``imagenet``, ``random`` or the file's absolute path: what ``find_weights`` accepts again."""
    file: Path | None
    """None for random weights, which are drawn when they are loaded."""
    sha256: str
    """Of the file's bytes."""


def find_weights(
    spec: str, backbone: Backbone, *, random_if_unreachable: bool = False, patience_s: float = 60
) -> Weights:
    """Find ``imagenet``, ``random`` or the state-dict file that ``spec`` names; nothing is loaded.

    ``imagenet`` is the backbone authors' file, hash-checked, from the torch cache or downloaded
    within ``patience_s`` seconds; if that fails and ``random_if_unreachable`` is set, random
    weights take its place, with a warning.

    Raises UnreachableError if ImageNet weights can't be downloaded, LookalikeError if a
    file can't be read.
    """
    if spec == "random":
        return _random()
    if spec == "imagenet":
        return _imagenet(backbone, random_if_unreachable, patience_s)
    file = named_path(spec)
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise LookalikeError(
                f"weights {file} are not a file of at most {MAX_BYTES // 1_000_000_000} GB: "
                "give imagenet, random or the path of a state dict."
            )
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


def _imagenet(backbone: Backbone, random_if_unreachable: bool, patience_s: float) -> Weights:
    published = backbone.imagenet
    if published is None:
        raise LookalikeError(
            f"{backbone.name} has no ImageNet weights: give random or the path of a state dict."
        )
    cached = torch_cache() / Path(published.url).name
    try:
        download(
            published.url,
            cached,
            sha256=published.sha256,
            max_bytes=published.bytes,
            patience_s=patience_s,
        )
    except UnreachableError as error:
        if not random_if_unreachable:
            raise
        log.warning(
            f"{error} Until then the sample uses random weights: "
            "they compare colours and shapes, not what ImageNet taught."
        )
        return _random()
    return Weights("imagenet", cached, published.sha256)


def _random() -> Weights:
    # Another PyTorch may draw other numbers from the same seed.
    drawn = f"torch {version('torch')}, seed {RANDOM_SEED}"
    return Weights("random", None, hashlib.sha256(drawn.encode()).hexdigest())
