"""What a benchmark shows: Markdown tables on stdout, progress lines on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]

NO_BAR = "-"


@dataclass(frozen=True)
class Quantity:
    """A row of the last table: what was measured, the result, and the goal."""

    name: str
    measured: str
    bar: str


def say(message: str) -> None:
    """A progress line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def show_logs() -> None:
    """Also write the steps' own progress lines to stderr."""
    logging.basicConfig(level=logging.WARNING, format="         %(message)s", stream=sys.stderr)
    logging.getLogger("jobs").setLevel(logging.INFO)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table below its title."""
    print(f"\n{title}\n")
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)


def spread(values: Values, form: Callable[[float], str]) -> list[str]:
    """Median, least and most of the values of all seeds or turns."""
    return [form(float(value)) for value in (np.median(values), min(values), max(values))]


def in_one(values: Values, form: Callable[[float], str]) -> str:
    """The same in one cell."""
    median, least, most = spread(values, form)
    return f"{median} ({least} to {most})"


def percent(share: float) -> str:
    return f"{share:.2%}" if share >= 0.001 else f"{share:.4%}"


def part(ratio: float) -> str:
    """``0.0066`` -> ``1/152``."""
    return f"1/{1 / ratio:,.0f}" if ratio < 0.1 else f"1/{1 / ratio:.1f}"


def factor(ratio: float) -> str:
    """``3.14159`` -> ``3.1 x``."""
    return f"{ratio:.1f} x"


def number(value: float) -> str:
    """Three digits: ``0.0123``, ``1.23``, ``1,230``."""
    if 0 < value < 0.001:
        return "< 0.001"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
