"""Run a function in a new process: with a JVM of its own, or with one thread as in Spark's workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import MappingProxyType
from typing import TypeVar

from benchmarks.measuring.shown import show_logs

T = TypeVar("T")

AS_IT_IS: Mapping[str, str] = MappingProxyType({})
ONE_THREAD: Mapping[str, str] = MappingProxyType({"OMP_NUM_THREADS": "1"})
"""What Spark sets for its workers, and what BLAS and OpenMP read when they are loaded."""


def in_process(
    function: Callable[..., T], *arguments: object, environment: Mapping[str, str] = AS_IT_IS
) -> T:
    """Call a module's function in a new interpreter; arguments and result are pickled."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), show_logs) as pool:
            return pool.submit(function, *arguments).result()
    finally:
        os.environ.clear()
        os.environ.update(before)
