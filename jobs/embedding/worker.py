"""Embed shards: what runs in the process that ``EmbeddingProcess`` starts.

Each thread takes a batch of pictures through every part: read, check, decode, resize, write the resized
copy, embed. So every core is busy whichever part takes longest, and only a few batches are in memory.
"""

from __future__ import annotations

import ctypes
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.base.errors import LookalikeError
from jobs.embedding.copies import save_copy
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.model import Model
from jobs.embedding.resize import resized
from jobs.embedding.shards import Outcome, Picture, Shard
from jobs.intake.decode import BadPictureError
from jobs.intake.look import content_id, read_picture
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot, resized_file

Crashed = Mapping[str, str]
"""Id -> reason of pictures that crashed an earlier process."""


class Marks:
    """Which picture each thread is decoding, in memory that outlives this process."""

    def __init__(self, slots: Sequence[ctypes.Array[ctypes.c_char]]) -> None:
        self._free = deque(slots)

    @contextmanager
    def __call__(self, id_: str) -> Iterator[None]:
        slot = self._free.pop()
        slot.value = id_.encode()
        yield
        slot.value = b""
        self._free.append(slot)


class _Batch(NamedTuple):
    pictures: Sequence[Picture]
    ends_shard: bool


class _Done(NamedTuple):
    ids: list[str]
    embeddings: NDArray[np.float32]


def serve(
    connection: Connection,
    slots: Sequence[ctypes.Array[ctypes.c_char]],
    root: DataRoot,
    model: Model,
    runtime: str,
    threads: int,
) -> None:
    """Answer what comes over ``connection`` until it closes.

    A picture is decoded and answered with None, if the process survives that. Shards, sent with the
    pictures that crashed before, are embedded; the answers are the runtime, the first time, then
    numbers of pictures done, and one Outcome per shard. A LookalikeError is sent instead of an answer
    and ends the loop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    torch.set_num_threads(1)  # each of our threads computes on one core
    try:
        worker = None
        while True:
            task = connection.recv()
            if isinstance(task, Picture):
                _decode(task, model, Marks(slots), Outcome())
                connection.send(None)
                continue
            if worker is None:
                kept = EmbeddingStore(root.embeddings / model.fingerprint).openvino
                embedder = ImageEmbedder(model, runtime=runtime, threads=threads, kept=kept)
                connection.send(embedder.runtime)
                worker = Worker(root, embedder, Marks(slots))
            for answer in worker.embed(*task):
                connection.send(answer)
    except LookalikeError as error:
        connection.send(error)
    except (EOFError, ConnectionError):
        pass  # the process that started this one has closed the connection


class Worker:
    def __init__(self, root: DataRoot, embedder: ImageEmbedder, marks: Marks) -> None:
        self.root, self.embedder, self.marks = root, embedder, marks
        self.store = EmbeddingStore(root.embeddings / embedder.model.fingerprint)
        self.pool = ThreadPoolExecutor(embedder.threads)

    def embed(self, shards: Iterable[Shard], crashed: Crashed) -> Iterator[int | Outcome]:
        """Embed and store ``shards``; yield how many pictures are done, and an Outcome after each shard."""
        outcome, done = Outcome(), list[_Done]()
        for batch, embedded, failed in self._batches(shards, crashed):
            done.append(embedded)
            outcome.broken |= failed.broken
            outcome.lost |= failed.lost
            yield len(batch.pictures)
            if batch.ends_shard:
                ids = [id_ for part in done for id_ in part.ids]
                if ids or outcome.broken:
                    embeddings = np.concatenate([part.embeddings for part in done])
                    self.store.write(ids, embeddings, outcome.broken, self.embedder.runtime)
                outcome.embedded = len(ids)
                yield outcome
                outcome, done = Outcome(), []

    def _batches(self, shards: Iterable[Shard], crashed: Crashed) -> Iterator[tuple[_Batch, _Done, Outcome]]:
        """Run all batches of all shards, a few ahead of the reader, and yield them in order."""
        waiting: deque[tuple[_Batch, Future[tuple[_Done, Outcome]]]] = deque()
        for batch in self._cut(shards):
            waiting.append((batch, self.pool.submit(self._embed_batch, batch.pictures, crashed)))
            if len(waiting) > 2 * self.embedder.threads:
                first, future = waiting.popleft()
                yield first, *future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, *future.result()

    def _cut(self, shards: Iterable[Shard]) -> Iterator[_Batch]:
        size = self.embedder.batch
        for shard in shards:
            for start in range(0, len(shard), size):
                yield _Batch(shard[start : start + size], start + size >= len(shard))

    def _embed_batch(self, pictures: Sequence[Picture], crashed: Crashed) -> tuple[_Done, Outcome]:
        model = self.embedder.model
        outcome = Outcome(
            broken={picture.id: crashed[picture.id] for picture in pictures if picture.id in crashed}
        )
        scratch = self.root.resized_scratch(model.fingerprint)
        ids, batch = [], []
        for picture in pictures:
            pixels = None
            if picture.id not in crashed:
                pixels = _decode(picture, model, self.marks, outcome)
            if pixels is not None:
                save_copy(pixels, resized_file(self.root, model.resized, picture.id), scratch)
                if not picture.embedded:
                    ids.append(picture.id)
                    batch.append(pixels)
        empty = np.empty((0, model.backbone.dimension), np.float32)
        embeddings = self.embedder.forward(np.stack(batch)) if ids else empty
        return _Done(ids, embeddings), outcome


def _decode(picture: Picture, model: Model, marks: Marks, outcome: Outcome) -> NDArray[np.uint8] | None:
    """The picture's (side, side, 3) pixels; if it has none, None, and the reason is in ``outcome``."""
    content = _read(picture, outcome)
    if content is None:
        return None
    with marks(picture.id):
        try:
            return resized(content, model.backbone, model.geometry)
        except BadPictureError as error:
            outcome.broken[picture.id] = str(error)
            return None


def _read(picture: Picture, outcome: Outcome) -> bytes | None:
    """The bytes of the first file that still holds ``picture``; files before that one are lost."""
    for path in picture.paths:
        try:
            content = read_picture(path)
        except BadPictureError as error:
            outcome.lost[path] = str(error)
            continue
        except OSError as error:
            outcome.lost[path] = f"cannot be read: {error.strerror}"
            continue
        if content_id(content) == picture.id:
            return content
        outcome.lost[path] = "changed while it was taken in: run again"
    return None
