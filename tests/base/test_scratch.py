"""What processes leave in the temporary folder when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.base.scratch import abandoned, scratch
from jobs.store.root import PROJECT

HOLDS = """
import time
from jobs.base.scratch import scratch
with scratch() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(100)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "t m p"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder


def test_it_is_gone_afterwards_and_nobody_elses_to_read(temporary: Path) -> None:
    with scratch() as folder:
        assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
        (folder / "left").mkdir()
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_is_abandoned_and_what_a_living_one_uses_is_not(temporary: Path) -> None:
    (temporary / ".tmp-lookalike-notes").mkdir()
    (temporary / "lookalike-1-x").mkdir()
    with scratch():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir() and abandoned() == []
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert abandoned() == [folder]
