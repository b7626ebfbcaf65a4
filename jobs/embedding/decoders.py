"""Decode pictures from outside in warm processes: one that crashes a decoder, or eats memory or time, costs
its own answer and nothing else."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import LifoQueue
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.embedding.backbones import Backbone
from jobs.embedding.process import end, without_main
from jobs.intake.decode import BadPictureError
from jobs.intake.given_up import MEMORY, crash_reason, given_up, max_seconds

_context = multiprocessing.get_context("forkserver")
# Imported once, in the process that the others are forked from: they start in no time and share its memory.
_context.set_forkserver_preload(["jobs.embedding.decoders", "jobs.embedding.resize"])


def serve(connection: Connection, theirs: Connection) -> None:
    """Answer each backbone, geometry and file's bytes with pixels, or the reason why there are none."""
    theirs.close()  # else this process would not notice that the other one has gone
    import torch

    from jobs.embedding.resize import resized

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    while True:
        try:
            backbone, geometry = connection.recv()
            content = connection.recv_bytes()
        except (EOFError, ConnectionError):
            return
        answer: NDArray[np.uint8] | str
        try:
            answer = resized(content, backbone, geometry)
        except BadPictureError as error:
            answer = str(error)
        del content
        connection.send(answer)


class _Decoder:
    """One such process; it starts with the first picture, and again after a crash."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def start(self) -> Connection:
        if self._process is None or self._connection is None or not self._process.is_alive():
            self.stop()
            self._connection, theirs = _context.Pipe()
            self._process = _context.Process(target=serve, args=(theirs, self._connection), daemon=True)
            with without_main():
                self._process.start()
            theirs.close()
        return self._connection

    def pixels(self, content: bytes, backbone: Backbone, geometry: str) -> NDArray[np.uint8]:
        """Raises EOFError if the process ends."""
        connection, seconds = self.start(), max_seconds()
        try:
            connection.send((backbone, geometry))
            connection.send_bytes(content)
            if not connection.poll(seconds):
                self.stop()
                raise BadPictureError(given_up(seconds))
            answer: Any = connection.recv()
        except ConnectionError as error:
            raise EOFError from error
        if isinstance(answer, str):
            raise BadPictureError(answer)
        pixels: NDArray[np.uint8] = answer
        return pixels

    def stop(self) -> int:
        """End the process; return its exit status, negative if a signal ended it."""
        if self._connection is not None:
            self._connection.close()
        if self._process is None:
            return 0
        status = end(self._process, 0.5)
        self._process = self._connection = None
        return status


class Decoders:
    """``count`` processes; as many threads may decode at once, others wait. A context manager."""

    def __init__(self, count: int = 1) -> None:
        self._all = [_Decoder() for _ in range(count)]
        self._idle: LifoQueue[_Decoder] = LifoQueue()
        for decoder in self._all:
            self._idle.put(decoder)

    def __enter__(self) -> Decoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes; none may be decoding."""
        for decoder in self._all:
            decoder.stop()

    def __len__(self) -> int:
        return len(self._all)

    def warm_up(self) -> None:
        """Start all processes, so that the first picture need not wait for one."""
        for decoder in self._all:
            decoder.start()

    def pixels(self, content: bytes, backbone: Backbone, geometry: str) -> NDArray[np.uint8]:
        """A picture file's bytes -> what ``backbone`` embeds: (side, side, 3) uint8 RGB.

        Raises BadPictureError with the reason, also if the picture crashes the process, takes more than
        ``MEMORY`` or longer than ``LOOKALIKE_MAX_SECONDS``.
        """
        decoder = self._idle.get()
        try:
            try:
                return decoder.pixels(content, backbone, geometry)
            except EOFError:
                # It may have been killed from outside: the picture is to blame if another one ends, too.
                decoder.stop()
            try:
                return decoder.pixels(content, backbone, geometry)
            except EOFError as error:
                raise BadPictureError(crash_reason(decoder.stop())) from error
        finally:
            self._idle.put(decoder)
