"""Progress as people read it."""

from __future__ import annotations

import logging

import pytest

from jobs.base.logs import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_loading_is_not_taken_for_slowness(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    progress = Progress(345, "pictures", logging.getLogger("jobs"))
    clock[0] = 30.0  # until PyTorch is imported and the network compiled
    progress.advance(16)
    clock[0] = 41.0
    progress.advance(110)
    assert caplog.messages[-1] == "126/345 pictures, 10.0 pictures/s, 0:22 left"
    clock[0] = 62.9
    progress.advance(219)
    progress.finish()
    assert caplog.messages[-1] == "345 pictures in 1:03, 10.0 pictures/s"


def test_what_is_done_at_once_has_a_rate_too(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    progress = Progress(8, "pictures", logging.getLogger("jobs"))
    clock[0] = 2.0
    progress.advance(8)
    progress.finish()
    assert caplog.messages == ["8 pictures in 0:02, 4.0 pictures/s"]


def test_while_nothing_is_done_it_says_so(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    progress = Progress(8, "pictures", logging.getLogger("jobs"))
    clock[0] = 20.0
    progress.advance(0)
    assert caplog.messages == ["0/8 pictures, 0.0 pictures/s, starting"]
