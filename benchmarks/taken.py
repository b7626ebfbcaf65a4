"""What something took: seconds, and memory with all processes it started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import psutil

SAMPLE_EVERY_S = 0.2


def seconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def median_seconds(ask: Callable[[int], object], repeats: int) -> float:
    """The median time of ``ask(1)``, ``ask(2)`` ... after ``ask(0)`` has warmed up."""
    return float(np.median([seconds(partial(ask, turn)) for turn in range(repeats + 1)][1:]))


class PeakMemory:
    """The most bytes that this process and all below it (JVM, Python workers) held at once.

    It is the sum of resident sets: a page that two of them share counts twice, and a mapped file's
    pages count though the system may drop them.
    """

    def __init__(self) -> None:
        self.bytes = 0

    @contextmanager
    def sampled(self) -> Iterator[None]:
        done = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(done,), daemon=True)
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()

    def _sample(self, done: threading.Event) -> None:
        own = psutil.Process()
        while not done.wait(SAMPLE_EVERY_S):
            self.bytes = max(self.bytes, sum(map(_resident, [own, *own.children(recursive=True)])))


def _resident(process: psutil.Process) -> int:
    try:
        resident: int = process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
    return resident
