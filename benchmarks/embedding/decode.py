"""From a picture file's bytes to 224 x 224 pixels on one core: ours against Pillow's."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from benchmarks.embedding.usual import RESIZE
from benchmarks.measuring.shown import Quantity, factor, in_one
from benchmarks.measuring.taken import seconds, turn_by_turn
from jobs.base.options import GEOMETRY
from jobs.embedding.backbones import RESNET18
from jobs.embedding.resize import decode, resize
from jobs.embedding.shards import Picture

OURS, PILLOW = "decode and resize, ours", "decode and resize, Pillow"


def measure_decoding(pictures: Sequence[Picture], repeats: int) -> list[Quantity]:
    """Decode and resize ``pictures`` both ways, turn by turn, from memory and by one thread."""
    torch.set_num_threads(1)
    contents = [Path(picture.paths[0]).read_bytes() for picture in pictures]
    ours, pillow = partial(_ours, contents), partial(_pillow, contents)
    taken = turn_by_turn({OURS: lambda: seconds(ours), PILLOW: lambda: seconds(pillow)}, repeats)
    times = in_one(taken[PILLOW] / taken[OURS], factor)
    return [Quantity("decode and resize against Pillow, one core", times, "at least 2 x")]


def _ours(contents: Sequence[bytes]) -> None:
    for content in contents:
        resize(decode(content), RESNET18, GEOMETRY.default)


def _pillow(contents: Sequence[bytes]) -> None:
    for content in contents:
        with Image.open(io.BytesIO(content)) as image:
            RESIZE(image.convert("RGB"))
