"""A network's forward pass by PyTorch, on a GPU or a processor."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.embedding.backbones import Backbone
from jobs.embedding.openvino import Forward


def torch_forward(
    network: torch.nn.Module, backbone: Backbone, precision: str, device: str
) -> tuple[Forward, str]:
    """PyTorch's own forward pass on ``device``, with autocast if ``precision`` is bf16."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    on_gpu = device.startswith("cuda")
    # Otherwise cuDNN would round single precision to ten bits (TF32).
    torch.backends.cudnn.allow_tf32 = False
    # The fastest kernels want channels innermost.
    network = network.to(device).to(memory_format=torch.channels_last)
    mean, std = (
        torch.tensor(values, device=device)[:, None, None] for values in (backbone.mean, backbone.std)
    )

    def forward(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = torch.from_numpy(pixels)
        if on_gpu:
            batch = batch.pin_memory().to(device, non_blocking=True)
        with (
            torch.inference_mode(),
            torch.autocast(batch.device.type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            embeddings = network((batch.permute(0, 3, 1, 2) / 255 - mean) / std)
        values: NDArray[np.float32] = embeddings.float().cpu().numpy()
        return values

    return forward, f"PyTorch {torch.__version__} on {name}, {precision}{' autocast' * (precision != 'fp32')}"
