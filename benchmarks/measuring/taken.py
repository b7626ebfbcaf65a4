"""Measure seconds, and the memory of a process with all its children."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.measuring.shown import number, say

SAMPLE_EVERY_S = 0.2
PEAK_EVERY_S = 0.05


def seconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def median_seconds(ask: Callable[[int], object], repeats: int) -> float:
    """The median time of ``ask(1)``, ``ask(2)`` ... after ``ask(0)`` has warmed up."""
    return float(np.median([seconds(partial(ask, turn)) for turn in range(repeats + 1)][1:]))


def turn_by_turn(ways: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, NDArray[np.float64]]:
    """What each way measures, ``repeats`` times, in turns, so that other load affects all alike."""
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1, repeats + 1):
        for name, measure in ways.items():
            measured[name].append(measure())
            say(f"{turn} of {repeats}, {name}: {number(measured[name][-1])}")
    return {name: np.array(values) for name, values in measured.items()}


class PeakMemory:
    """The peak memory, in bytes, of this process with all its children (JVM, Python workers).

    It is the sum of resident sets: a page that two processes share counts twice, and pages of mapped
    files count, although the system may drop them.
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


def peak_of(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run ``command`` to its end and return the peak memory, in bytes, of it and all its children.

    A page that several processes share counts only once (the proportional set sizes are summed).
    """
    peak = 0.0
    process = psutil.Popen(command, env=dict(environment), stdout=sys.stderr)
    while process.poll() is None:
        peak = max(peak, sum(map(_proportional, [process, *process.children(recursive=True)])))
        time.sleep(PEAK_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak


def _proportional(process: psutil.Process) -> int:
    try:
        proportional: int = process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
    return proportional
