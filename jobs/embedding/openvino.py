"""A network's forward pass by OpenVINO, on a processor.

It is the default there because it is the fastest at equal results; ``make bench-embed`` compares.
"""

from __future__ import annotations

import json
import os
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
from jobs.embedding.backbones import Backbone

# Importing OpenVINO reports to Google Analytics unless its telemetry package can't be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes the import fail

NETWORK, WEIGHTS, _HASHES = "network.xml", "network.bin", "sha256.json"

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(n, side, side, 3) uint8 RGB -> (n, d) float32; may be called by several threads at once."""


def openvino_forward(
    network: Callable[[], torch.nn.Module],
    backbone: Backbone,
    precision: str,
    threads: int,
    kept: Path | None,
) -> tuple[Forward, str]:
    """Compile a backbone's ``network`` for this processor; return its forward pass and a description of it.

    Each of ``threads`` callers computes on one core of its own, so none waits for another. If a folder
    ``kept`` is given, the converted network is kept there, so that it is loaded and converted only once.

    Raises LookalikeError if the processor lacks ``precision``.
    """
    import openvino as ov
    from openvino.preprocess import PrePostProcessor

    core = ov.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise LookalikeError("precision is bf16, which this processor does not compute: choose fp32.")
    if kept and _is_whole(kept):
        converted = core.read_model(kept / NETWORK)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns about itself
            converted = ov.convert_model(
                network(), example_input=torch.zeros(2, 3, backbone.side, backbone.side)
            )
        # Who may only read the data root converts it each time.
        if kept and (os.access(kept.parent, os.W_OK) or not kept.parent.exists()):
            shutil.rmtree(kept, ignore_errors=True)
            _keep(converted, kept)
    steps = PrePostProcessor(converted)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(ov.Type.f32).mean(
        [255 * value for value in backbone.mean]
    ).scale([255 * value for value in backbone.std])
    hint = {"fp32": "f32", "bf16": "bf16"}[precision]
    compiled = core.compile_model(
        steps.build(),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            # Otherwise every single-threaded process computes on the machine's first core.
            "ENABLE_CPU_PINNING": False,
        },
    )
    # OpenVINO prepares itself at its first inference; two threads that come first at the same time
    # deadlock (seen with 2026.4).
    compiled.create_infer_request().infer(np.zeros((1, backbone.side, backbone.side, 3), np.uint8))
    local = threading.local()

    def forward(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        # Copied, because the next call overwrites the request's memory.
        return np.array(local.request.infer(pixels)[0], np.float32).reshape(-1, backbone.dimension)

    return forward, f"OpenVINO {ov.__version__.partition('-')[0]}, {precision}"


def _keep(converted: Any, folder: Path) -> None:
    import openvino as ov

    with staged_directory(folder) as staging:
        try:
            ov.save_model(converted, staging / NETWORK, compress_to_fp16=False)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise LookalikeError(
                f"{folder} can't be written ({reason}): free some space or repair it and run again."
            ) from error
        (staging / _HASHES).write_text(json.dumps(_hashes(staging)))


def _is_whole(folder: Path) -> bool:
    """Whether ``folder`` holds what was kept there, byte for byte; if not, it is made again."""
    try:
        return bool(json.loads((folder / _HASHES).read_text()) == _hashes(folder))
    except (FileNotFoundError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    return {name: file_sha256(folder / name) for name in (NETWORK, WEIGHTS)}
