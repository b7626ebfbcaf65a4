"""Ways to compute ResNet-18's forward pass on a processor, compared with each other and with its limit."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch._inductor.config
from numpy.typing import NDArray
from torch.fx.experimental.optimization import fuse

from benchmarks.embedding.alone import RUNTIME, on_all_cores
from benchmarks.measuring.shown import NO_BAR, Quantity, factor, in_one, say, spread, table
from benchmarks.measuring.taken import seconds, turn_by_turn
from jobs.base.machine import cores
from jobs.base.options import GEOMETRY
from jobs.embedding.backbones import RESNET18
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.network import load_network
from jobs.embedding.openvino import Forward
from jobs.embedding.resize import decode, resize
from jobs.embedding.shards import Picture
from jobs.embedding.weights import Weights
from jobs.lsh.sketch import Floats

BATCH = 32
"""Pictures per call, on all cores; ours makes separate calls on each core."""
PICTURES = 256
GFLOP = 2 * 1.814
"""Per picture. Torchvision counts multiply-adds, including those with the zeros of padding, which a fast
kernel leaves out. So a forward pass can be faster than the matrix product."""
SIDE_OF_PRODUCT = 4096
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

EAGER = "PyTorch, eager, fp32"

All = Callable[[], Floats]
"""Embeds all pictures."""


def measure_forwards(
    folder: Path, pictures: Sequence[Picture], weights: Weights, precisions: Sequence[str], repeats: int
) -> list[Quantity]:
    """Embed the pixels of some ``pictures`` in every way that this machine supports; print the rates."""
    pixels = on_all_cores(_pixels, pictures[: min(PICTURES, len(pictures)) // BATCH * BATCH])
    ways = _ways(np.stack(pixels), weights, precisions, folder)
    embeddings = {}
    for name, embed in ways.items():
        say(f"warming up {name}")
        embeddings[name] = embed()
    products = _products(precisions)
    measures = {name: partial(seconds, do) for name, do in {**ways, **products}.items()}
    taken = turn_by_turn(measures, repeats)
    eager = taken[EAGER]
    table(
        f"Forward passes of {len(pixels)} pictures on {cores()} cores, from 8-bit pixels, as rates:",
        ["way", "against eager, median", "least", "most", "largest 1 - cosine to eager"],
        [
            [name, *spread(eager / taken[name], factor), f"{_apart(its_embeddings, embeddings[EAGER]):.1e}"]
            for name, its_embeddings in embeddings.items()
        ],
    )
    quantities = []
    for precision in precisions:
        forward = len(pixels) * GFLOP / taken[_ours(precision)]
        fastest = np.min([taken[name] for name in products if name.endswith(precision)], axis=0)
        product = 2 * SIDE_OF_PRODUCT**3 / 1e9 / fastest
        quantities += [
            Quantity(f"forward alone, GFLOP/s, {precision}", in_one(forward, "{:,.0f}".format), NO_BAR),
            Quantity(f"matrix product, GFLOP/s, {precision}", in_one(product, "{:,.0f}".format), NO_BAR),
            Quantity(
                f"forward alone against it, {precision}", in_one(forward / product, "{:.2f}".format), NO_BAR
            ),
        ]
    return quantities


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    pixels = resize(decode(Path(picture.paths[0]).read_bytes()), RESNET18, GEOMETRY.default)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _ours(precision: str) -> str:
    return f"OpenVINO, one core per call, {precision} (ours)"


def _ways(
    pixels: NDArray[np.uint8], weights: Weights, precisions: Sequence[str], folder: Path
) -> dict[str, All]:
    network, last = load_network(RESNET18, weights), torch.channels_last
    folded = fuse(network)
    forwards = {
        EAGER: _torch(network, torch.contiguous_format),
        "PyTorch, eager, channels last, fp32": _torch(network, last),
        "PyTorch, folded, channels last, fp32": _torch(folded, last),
    }
    if shutil.which("g++"):
        forwards["PyTorch, compiled and frozen, fp32"] = _compiled(network)
    else:
        say("no C++ compiler g++: torch.compile is left out")
    forwards["ONNX Runtime, fp32"] = _onnx(network, folder / "network.onnx")
    if "bf16" in precisions:
        forwards["PyTorch, folded, channels last, bf16"] = _torch(folded, last, "bf16")
    ways: dict[str, All] = {name: partial(_in_batches, do, pixels) for name, do in forwards.items()}
    for precision in precisions:
        ours = ImageEmbedder(Model(RESNET18, weights, precision=precision), runtime=RUNTIME, device="cpu")
        ways[_ours(precision)] = partial(_one_core_per_call, ours, pixels)
    return ways


def _in_batches(forward: Forward, pixels: NDArray[np.uint8]) -> Floats:
    torch.set_num_threads(cores())
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    return np.concatenate([forward(batch) for batch in batches])


def _one_core_per_call(ours: ImageEmbedder, pixels: NDArray[np.uint8]) -> Floats:
    batches = [pixels[start : start + ours.batch] for start in range(0, len(pixels), ours.batch)]
    return np.concatenate(on_all_cores(ours.forward, batches))


def _torch(network: torch.nn.Module, layout: torch.memory_format, precision: str = "fp32") -> Forward:
    network = copy.deepcopy(network).to(TYPES[precision]).to(memory_format=layout)

    def forward(pixels: NDArray[np.uint8]) -> Floats:
        with torch.inference_mode():
            batch = _normalised(pixels).to(dtype=TYPES[precision], memory_format=layout)
            embeddings: Floats = network(batch).float().numpy()
        return embeddings

    return forward


def _compiled(network: torch.nn.Module) -> Forward:
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)
    forward = torch.compile(network)

    def compiled(pixels: NDArray[np.uint8]) -> Floats:
        # It compiles at the first call.
        with torch.inference_mode(), torch._inductor.config.patch(freezing=True):
            batch = _normalised(pixels).contiguous(memory_format=torch.channels_last)
            embeddings: Floats = forward(batch).numpy()
        return embeddings

    return compiled


def _onnx(network: torch.nn.Module, file: Path) -> Forward:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about itself
        torch.onnx.export(
            network,
            (torch.zeros(BATCH, 3, RESNET18.side, RESNET18.side),),
            file,
            dynamo=False,
            input_names=["pixels"],
            dynamic_axes={"pixels": {0: "pictures"}},
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def forward(pixels: NDArray[np.uint8]) -> Floats:
        embeddings: Floats = session.run(None, {"pixels": _normalised(pixels).numpy()})[0]
        return embeddings

    return forward


def _normalised(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """(n, 224, 224, 3) uint8 -> (n, 3, 224, 224) float32, the network's input."""
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(values)[:, None, None] for values in (RESNET18.mean, RESNET18.std))
    return batch.sub_(mean).div_(std).contiguous()


def _products(precisions: Sequence[str]) -> dict[str, Callable[[], object]]:
    """Large matrix products on all cores, computed once so that they are warm."""
    left, right = torch.randn(2, SIDE_OF_PRODUCT, SIDE_OF_PRODUCT)
    products: dict[str, Callable[[], object]] = {
        "matrix product by NumPy, fp32": partial(np.matmul, left.numpy(), right.numpy())
    }
    for precision in precisions:
        factors = left.to(TYPES[precision]), right.to(TYPES[precision])
        products[f"matrix product by PyTorch, {precision}"] = partial(_multiply, *factors)
    for multiply in products.values():
        multiply()
    return products


def _multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    torch.set_num_threads(cores())
    return left @ right


def _apart(embeddings: Floats, reference: Floats) -> float:
    """The largest 1 - cosine of two embeddings of the same picture."""
    wide = [each.astype(np.float64) for each in (embeddings, reference)]
    left, right = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in wide)
    return float((1 - (left * right).sum(axis=1)).max())
