"""Embed in a separate process, so that a picture that crashes a decoder crashes nothing else."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from types import ModuleType, TracebackType
from typing import Any

from jobs.base.errors import KilledError, LookalikeError
from jobs.embedding.model import Model
from jobs.embedding.shards import Outcome, Picture, Shard
from jobs.intake.given_up import CRASHES, crash_reason, given_up, max_seconds
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)

WATCH_EVERY_S = 1.0


def _serve(connection: Connection, *arguments: Any) -> None:
    """Run the worker; only the new process imports PyTorch. A bug in it is sent back with its stack trace."""
    try:
        from jobs.embedding.worker import serve

        serve(connection, *arguments)
    except Exception:
        connection.send(RuntimeError(f"the embedding process failed:\n{traceback.format_exc()}"))


@contextmanager
def without_main() -> Iterator[None]:
    """Keep a process spawned in this block from importing this process's main program.

    That may be Airflow, which takes seconds. ``multiprocessing`` has no option for it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def end(process: BaseProcess, patience_s: float) -> int:
    """Wait for a process that has no more to do, and kill it then; its exit status, negative for a signal."""
    process.join(patience_s)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode or 0


class EmbeddingProcess:
    """Embeds shards by ``model`` on ``threads`` cores; a context manager.

    The process starts with the first shards and again after a picture has crashed it.
    """

    def __init__(self, root: DataRoot, model: Model, *, runtime: str, threads: int) -> None:
        self._arguments = root, model, runtime, threads
        self._slots = [RawArray(ctypes.c_char, 33) for _ in range(threads)]
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._watched: dict[int, tuple[str, float]] = {}
        """Slot -> the picture being decoded there, and since when it was seen there."""
        self._slow: set[str] = set()
        self._seconds = max_seconds()

    def __enter__(self) -> EmbeddingProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def embed(self, shards: Sequence[Shard], advance: Callable[[int], None]) -> Iterator[Outcome]:
        """Embed ``shards`` in order, each into one file of the store; yield what became of each.

        ``advance`` is called with the number of pictures done, or minus the number to do again.

        Raises KilledError if the process is killed from outside, LookalikeError if the weights
        can't be used, the disk can't be written to, or it crashes, but not because of a picture.
        """
        pending, crashed = deque(shards), dict[str, str]()
        while pending:
            self._start()
            self._send((list(pending), crashed))
            in_shard = 0
            while pending:
                try:
                    answer = self._receive()
                except EOFError:
                    advance(-in_shard)
                    crashed |= self._blame(pending)
                    break
                if isinstance(answer, str):
                    log.info(f"embedding by {answer}, {len(self._slots)} threads")
                elif isinstance(answer, int):
                    in_shard += answer
                    advance(answer)
                else:
                    in_shard = 0
                    pending.popleft()
                    yield answer

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        for slot in self._slots:
            slot.value = b""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._slots, *self._arguments), daemon=True
        )
        with without_main():
            self._process.start()
        theirs.close()

    def _send(self, task: Any) -> None:
        assert self._connection is not None
        self._connection.send(task)

    def _receive(self) -> Any:
        """The next answer. Raises EOFError if the process ended, and any error that it sent."""
        assert self._connection is not None
        while not self._connection.poll(WATCH_EVERY_S):
            self._give_up_the_slow()
        try:
            answer = self._connection.recv()
        except ConnectionError as error:
            raise EOFError from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _give_up_the_slow(self) -> None:
        """Kill the process if it has decoded one picture for too long."""
        now = time.monotonic()
        for number, slot in enumerate(self._slots):
            id_ = slot.value.decode()
            seen, since = self._watched.get(number, ("", now))
            if id_ != seen:
                self._watched[number] = id_, now
            elif id_ and now - since > self._seconds and self._process is not None:
                self._slow.add(id_)
                self._process.kill()

    def _stop(self) -> int:
        """End the process; return its exit status, negative if a signal ended it."""
        assert (self._process is None) == (self._connection is None)
        if self._process is None or self._connection is None:
            return 0
        self._connection.close()
        status = end(self._process, 5)
        self._process = self._connection = None
        return status

    def _ended(self) -> Exception:
        """The error to raise after the process ended without being asked to."""
        status = self._stop()
        if status >= 0:
            return RuntimeError(f"the embedding process exited with status {status}")
        name = signal.Signals(-status).name
        if -status in CRASHES:
            return LookalikeError(
                f"the embedding process crashed ({name}), not because of a picture: run again with another "
                "runtime; what is embedded so far is kept."
            )
        return KilledError(
            f"the embedding process was killed from outside ({name}), perhaps for lack of memory: "
            "run again; what is embedded so far is kept."
        )

    def _blame(self, shards: Sequence[Shard]) -> dict[str, str]:
        """After a crash: id -> reason of the pictures being decoded that end a new process, too."""
        error = self._ended()
        if not isinstance(error, LookalikeError):
            raise error
        marked = {slot.value.decode() for slot in self._slots} - {""}
        blamed = {}
        for picture in (picture for shard in shards for picture in shard if picture.id in marked):
            if reason := self._reason(picture):
                blamed[picture.id] = reason
                log.warning(f"{picture.paths[0]!r} {reason}; continuing without it")
        if not blamed:
            raise error
        return blamed

    def _reason(self, picture: Picture) -> str | None:
        """Why decoding only ``picture`` ends a process, or None if it doesn't."""
        if picture.id not in self._slow:
            self._start()
            self._send(picture)
            try:
                self._receive()
            except EOFError:
                status = self._stop()
            else:
                return None
            if picture.id not in self._slow:
                # Alone, too: it is no chance that the kernel chose this process.
                return crash_reason(status) if -status in (*CRASHES, signal.SIGKILL) else None
        return given_up(self._seconds)
