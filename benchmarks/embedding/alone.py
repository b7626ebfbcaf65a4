"""Each part of embedding alone, with the same threads and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measuring.shown import say
from benchmarks.measuring.taken import seconds
from jobs.base.machine import cores
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import RESIZED_QUALITY, Model

NAMED = {"fp32": "FP32", "bf16": "BF16"}
"""What OpenVINO calls the precisions."""

T = TypeVar("T")
R = TypeVar("R")

RUNTIME = "openvino"
"""Processors are compared, even if there is a GPU."""


def precisions() -> list[str]:
    """The values of the option ``precision`` that this processor computes; prints those it does not."""
    import openvino as ov  # here, after jobs.embedding.openvino has disabled its telemetry

    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    missing = [precision for precision, name in NAMED.items() if name not in capabilities]
    for precision in missing:
        say(f"{precision} is left out: OpenVINO does not compute it on this processor")
    return [precision for precision in NAMED if precision not in missing]


def on_all_cores(do: Callable[[T], R], batches: Iterable[T]) -> list[R]:
    """Call ``do`` for each batch, with one thread per core."""
    torch.set_num_threads(1)
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(do, batches))


class Alone:
    """What one model does with some pictures, part by part."""

    def __init__(self, model: Model, files: Sequence[str], folder: Path) -> None:
        """``folder`` is for the 224 x 224 copies; reading the pictures is not measured."""
        self._embedder = ImageEmbedder(model, runtime=RUNTIME, device="cpu")
        self._folder = folder
        contents = [(number, Path(file).read_bytes()) for number, file in enumerate(files)]
        size = self._embedder.batch
        self._batches = [contents[start : start + size] for start in range(0, len(files), size)]
        folder.mkdir(parents=True, exist_ok=True)
        self._pixels = [np.stack(batch) for batch in on_all_cores(self._decode, self._batches)]
        on_all_cores(self._embedder.forward, self._pixels[: cores()])

    def decoding(self) -> float:
        """Seconds to decode, resize and write the copies."""
        return seconds(lambda: on_all_cores(self._decode_and_drop, self._batches))

    def forward(self) -> float:
        """Seconds from ready pixels to embeddings."""
        return seconds(lambda: on_all_cores(self._embedder.forward, self._pixels))

    def _decode_and_drop(self, batch: Sequence[tuple[int, bytes]]) -> None:
        self._decode(batch)  # so that the memory is reused, as in the whole step

    def _decode(self, batch: Sequence[tuple[int, bytes]]) -> list[NDArray[np.uint8]]:
        decoded = []
        for number, content in batch:
            pixels = self._embedder.pixels(content)
            Image.fromarray(pixels).save(self._folder / f"{number}.jpg", "JPEG", quality=RESIZED_QUALITY)
            decoded.append(pixels)
        return decoded
