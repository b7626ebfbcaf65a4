"""Keep the warm search running beside Airflow."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

REST_S = 1.0
"""Before it is started again after it ended."""
DRAIN_S = 25


@contextmanager
def warm_search(log: Path, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run ``python -m service`` in the block, again whenever it ends; give what tells Airflow where it is.

    It has a port of this machine that is free, and a secret that only Airflow is told. The port stays open
    while it is started again, so that a question waits instead of being refused.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        told = {
            "LOOKALIKE_SEARCH": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "LOOKALIKE_SEARCH_SECRET": secrets.token_urlsafe(32),
        }
        running = _Running(listening.fileno(), log, {**environment, **told})
        try:
            yield told
        finally:
            running.stop()


class _Running:
    def __init__(self, fd: int, log: Path, environment: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "service", f"--fd={fd}"]
        self._fd, self._log, self._environment = fd, log, environment
        self._ends = Event()
        self._process = self._start()
        self._thread = Thread(target=self._watch, name="warm search", daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                pass_fds=(self._fd,),
                start_new_session=True,
            )

    def _watch(self) -> None:
        while True:
            self._process.wait()
            if self._ends.wait(REST_S):
                return
            self._process = self._start()

    def stop(self) -> None:
        """It answers what it was asked first."""
        self._ends.set()
        self._process.terminate()
        try:
            self._process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join()
