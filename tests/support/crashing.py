"""Processes that embed until something crashes them, as a faulty decoder or processor library would."""

from __future__ import annotations

import ctypes
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MARK = b"crash here: "
"""A picture whose bytes hold this and a signal's name ends the process that decodes it by that signal: each
time, or only the first time if a file's path follows. ``no end`` instead of a signal decodes for ever."""


def _crash(name: str) -> None:
    name, _, once = name.partition(" at ")
    if once:
        if Path(once).exists():
            return
        Path(once).touch()
    if name == "no end":
        time.sleep(3600)
    if name == "SIGSEGV":
        ctypes.string_at(0)
    # As abort() does: to this very thread, which runs no further.
    signal.raise_signal(signal.Signals[name])


def _decode_and_crash() -> None:
    import jobs.embedding.resize

    decoded = jobs.embedding.resize._decoded

    def crashing(image: Image.Image, content: bytes) -> Any:
        _, marked, name = content.partition(MARK)
        if marked:
            _crash(name.decode())
        return decoded(image, content)

    jobs.embedding.resize._decoded = crashing


def serve(*arguments: Any) -> None:
    from jobs.embedding.worker import serve

    _decode_and_crash()
    serve(*arguments)


def serve_decoder(*arguments: Any) -> None:
    from jobs.embedding.decoders import serve

    _decode_and_crash()
    serve(*arguments)


def serve_and_crash_forward(*arguments: Any) -> None:
    from jobs.embedding import embedder
    from jobs.embedding.worker import serve

    def crashing(*_: Any) -> tuple[Any, str]:
        def forward(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            _crash("SIGSEGV")
            raise AssertionError

        return forward, "what crashes"

    setattr(embedder, "openvino_forward", crashing)  # noqa: B010
    serve(*arguments)
