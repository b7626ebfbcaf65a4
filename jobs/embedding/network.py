"""Load a backbone with its weights and without its last layer."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct

import torch

from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import Backbone
from jobs.embedding.weights import RANDOM_SEED, Weights

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


def load_network(backbone: Backbone, weights: Weights) -> torch.nn.Module:
    """``backbone`` with ``weights`` and without its last layer: (n, 3, side, side) float32 -> (n, d).

    The network holds float32, whatever number type the file has.

    Raises LookalikeError if the file is unsafe to load, is not of this backbone, holds values that
    are not finite, or has changed since ``find_weights``.
    """
    if weights.file is None:
        network = _random(backbone)
    else:
        network = backbone.build()
        content = _read(weights)
        try:
            network.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        except _LOADING_ERRORS as error:
            raise LookalikeError(
                f"weights {weights.file} is not a state dict of {backbone.name}: "
                f"save model.state_dict() of one ({type(error).__name__})."
            ) from error
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise LookalikeError(f"weights {weights.file} hold values that are not finite: choose another file.")
    setattr(network, backbone.head, torch.nn.Identity())
    network.eval().requires_grad_(False)
    return network


def _read(weights: Weights) -> bytes:
    assert weights.file is not None
    try:
        content = weights.file.read_bytes()
    except OSError as error:
        raise LookalikeError(
            f"weights {weights.file} can't be read ({error.strerror}): give imagenet, random or a state dict."
        ) from error
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise LookalikeError(f"weights {weights.file} changed since the run began: run again.")
    return content


def _random(backbone: Backbone) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        return backbone.build()
