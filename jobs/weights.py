"""ResNet-18's weights: ImageNet's, a file of one's own, or random ones."""

from __future__ import annotations

import hashlib
import logging
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import torch
from torchvision.models import resnet18

from jobs.download import download
from jobs.errors import LookalikeError, UnreachableError

log = logging.getLogger(__name__)

IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
IMAGENET_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
IMAGENET_BYTES = 46_830_571
RANDOM_SEED = 0

# What torch.load and load_state_dict raise on files that hold something else, or code.
_LOADING_ERRORS = (
    pickle.UnpicklingError,
    RuntimeError,
    AssertionError,
    TypeError,
    AttributeError,
    EOFError,
    ValueError,
    LookupError,
    struct.error,
)


@dataclass(frozen=True)
class Weights:
    """A ResNet-18 state dict and where it came from."""

    name: str
    """``imagenet``, ``random`` or the file's name; what manifests and montages show."""
    state_dict: dict[str, torch.Tensor]
    sha256: str
    """Over names, shapes and values of all tensors: the same for two files of equal weights."""


def load_weights(spec: str, *, random_if_unreachable: bool = False, patience_s: float = 60) -> Weights:
    """Load ``imagenet``, ``random`` or the state-dict file that ``spec`` names.

    ``imagenet`` is torchvision's IMAGENET1K_V1, hash-checked, from the torch cache or
    downloaded within ``patience_s`` seconds; where that fails and
    ``random_if_unreachable`` is set, random weights take its place, with a warning.

    Raises UnreachableError where ImageNet weights can't be had, LookalikeError where a
    file is missing, unsafe to load or not ResNet-18's.
    """
    if spec == "random":
        return _random()
    if spec != "imagenet":
        return _from_file(Path(spec).expanduser(), Path(spec).name)
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(IMAGENET_URL).name
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
    return _from_file(cached, "imagenet")


def _random() -> Weights:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        state_dict = resnet18(weights=None).state_dict()
    return Weights("random", state_dict, _hash(state_dict))


def _from_file(path: Path, name: str) -> Weights:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        model = resnet18(weights=None)
        model.load_state_dict(loaded)
    except OSError as error:
        raise LookalikeError(
            f"weights {path} can't be read ({error.strerror}): "
            "give imagenet, random or the path of a state dict."
        ) from error
    except _LOADING_ERRORS as error:
        raise LookalikeError(
            f"weights {path} is not a state dict of torchvision's resnet18: "
            f"save model.state_dict() of one ({type(error).__name__})."
        ) from error
    # Whatever number type the file had, the model holds float32.
    state_dict = model.state_dict()
    if not all(torch.isfinite(tensor).all() for tensor in state_dict.values()):
        raise LookalikeError(f"weights {path} hold values that are no numbers: take another file.")
    return Weights(name, state_dict, _hash(state_dict))


def _hash(state_dict: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
