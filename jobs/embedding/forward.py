"""ResNet-18's forward pass on what the machine has: OpenVINO on a processor, PyTorch on a GPU or as it is.

OpenVINO is the default on processors because it was the fastest there at equal results; the
comparison is ``make bench-embed``.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.base.atomic import staged_directory
from jobs.base.download import file_sha256
from jobs.base.errors import LookalikeError
from jobs.embedding.model import SIDE
from jobs.embedding.resize import MEAN, STD
from jobs.store.embeddings import DIMENSION

# Importing OpenVINO tells Google Analytics about it, unless its telemetry package can't be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None is how Python hides one

_HASHES = "sha256.json"

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(n, 224, 224, 3) uint8 RGB -> (n, 512) float32; may be called by several threads at once."""


def openvino_forward(
    network: Callable[[], torch.nn.Module], precision: str, threads: int, kept: Path | None
) -> tuple[Forward, str]:
    """Compile ``network`` for this processor; return its forward pass and what to call it.

    Each of ``threads`` callers computes on one core of its own, so none waits for another. The
    network is loaded and converted once and ``kept`` as a folder, if one is named.

    Raises LookalikeError where the processor lacks ``precision``.
    """
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    core = ov.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise LookalikeError("precision is bf16, which this processor does not compute: choose fp32.")
    if kept and _is_whole(kept):
        converted = core.read_model(kept / "resnet18.xml")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the tracer tells of itself
            converted = ov.convert_model(network(), example_input=torch.zeros(2, 3, SIDE, SIDE))
        if kept:
            shutil.rmtree(kept, ignore_errors=True)
            _keep(converted, kept)
    steps = PrePostProcessor(converted)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean([255 * value for value in MEAN]).scale(
        [255 * value for value in STD]
    )
    hint = {"fp32": "f32", "bf16": "bf16"}[precision]
    compiled = core.compile_model(
        steps.build(),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            # Otherwise every process of one thread computes on the machine's first core.
            "ENABLE_CPU_PINNING": False,
        },
    )
    # OpenVINO prepares itself at its first inference; two threads that both come first wait for each
    # other for ever (seen with 2026.4).
    compiled.create_infer_request().infer(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    local = threading.local()

    def forward(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        # The request's own memory is written to by the next call.
        return np.array(local.request.infer(pixels)[0], np.float32).reshape(-1, DIMENSION)

    return forward, f"OpenVINO {ov.__version__.partition('-')[0]}, {precision}"


def _keep(converted: Any, folder: Path) -> None:
    import openvino as ov

    with staged_directory(folder) as staging:
        try:
            ov.save_model(converted, staging / "resnet18.xml", compress_to_fp16=False)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise LookalikeError(
                f"{folder} can't be written ({reason}): make room or mend it and run again."
            ) from error
        (staging / _HASHES).write_text(json.dumps(_hashes(staging)))


def _is_whole(folder: Path) -> bool:
    """Whether ``folder`` holds what was kept there, byte for byte: it may be lost and is made again."""
    try:
        return bool(json.loads((folder / _HASHES).read_text()) == _hashes(folder))
    except (FileNotFoundError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    return {name: file_sha256(folder / name) for name in ("resnet18.xml", "resnet18.bin")}


def torch_forward(network: torch.nn.Module, precision: str, device: str) -> tuple[Forward, str]:
    """PyTorch's own forward pass on ``device``, by autocast where ``precision`` is bf16."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    on_gpu = device.startswith("cuda")
    # Otherwise cuDNN would round the factors of single precision to ten bits (TF32).
    torch.backends.cudnn.allow_tf32 = False
    # Channels innermost is what the fastest kernels read.
    network = network.to(device).to(memory_format=torch.channels_last)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))

    def forward(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = torch.from_numpy(pixels)
        if on_gpu:
            batch = batch.pin_memory().to(device, non_blocking=True)
        with (
            torch.inference_mode(),
            torch.autocast(batch.device.type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            embeddings = network((batch.permute(0, 3, 1, 2) / 255 - mean) / std)
        found: NDArray[np.float32] = embeddings.float().cpu().numpy()
        return found

    return forward, f"PyTorch {torch.__version__} on {name}, {precision}{' autocast' * (precision != 'fp32')}"
