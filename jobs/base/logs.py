"""What a person reads while a step runs: sections, progress lines, counts at the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 10.0


@contextmanager
def section(title: str) -> Iterator[None]:
    """Fold what is printed inside under ``title`` in Airflow's log view, and time it."""
    started = time.monotonic()
    # Marks of Airflow's log view, which mean nothing in a terminal.
    folds = not sys.stdout.isatty()
    if folds:
        log.info(f"::group::{title}")
    try:
        yield
    finally:
        if folds:
            log.info("::endgroup::")
        log.info(f"{title}: {time.monotonic() - started:.1f} s")


class Progress:
    """A line every ten seconds: done of total, rate, time left.

    The rate leaves out what passes until the first is done, which is mostly loading.
    """

    def __init__(self, total: int, noun: str, log: logging.Logger) -> None:
        self.total, self.noun, self.log = total, noun, log
        self.done = 0
        self.started = self.logged = self._first_at = time.monotonic()
        self._first = 0

    def advance(self, count: int = 1) -> None:
        now = time.monotonic()
        if not self.done:
            self._first_at, self._first = now, count
        self.done += count
        if now - self.logged >= PROGRESS_EVERY_S:
            self.logged = now
            rate = self._rate(now)
            left = f"{clock((self.total - self.done) / rate)} left" if rate else "starting"
            self.log.info(f"{self.done:,}/{self.total:,} {self.noun}, {rate:,.1f} {self.noun}/s, {left}")

    def finish(self) -> None:
        now = time.monotonic()
        took = clock(now - self.started)
        self.log.info(f"{self.done:,} {self.noun} in {took}, {self._rate(now):,.1f} {self.noun}/s")

    def _rate(self, now: float) -> float:
        if self.done > self._first:
            return (self.done - self._first) / max(now - self._first_at, 1e-9)
        return self.done / max(now - self.started, 1e-9)


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``, ``3700`` -> ``1:01:40``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
