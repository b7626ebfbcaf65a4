"""A published index of real pictures and the warm search over it, made in seconds, without Spark."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from jobs.embedding.copies import save_copy
from jobs.embedding.embedder import ImageEmbedder
from jobs.intake.look import content_id
from jobs.store.embeddings import EmbeddingStore
from jobs.store.gallery import ALL, SCHEMA
from jobs.store.packed import save_sketch
from jobs.store.root import CURRENT, PROJECT, DataRoot, resized_file
from jobs.store.versions import Index, point_to_index
from tests.golden.make import CURRENT as GOLDEN
from tests.support.converted import BY_DEFAULT, root_with_converted_weights
from tests.support.opened import write_index
from tests.support.pictures import write_picture

SECRET = "not so secret, but long"  # noqa: S105
CLASSES = 3
STORED = 5
PATIENCE_S = 90


def served_root(folder: Path, pictures: int = 24) -> DataRoot:
    """A data root whose published version holds so many drawn pictures of three classes."""
    root = root_with_converted_weights(folder / "data", BY_DEFAULT)
    EmbeddingStore(root.embeddings / BY_DEFAULT.fingerprint).describe(BY_DEFAULT.description)
    publish_version(root, folder / "pictures", "a" * 16, pictures)
    return root


def publish_version(root: DataRoot, folder: Path, version: str, pictures: int, first: int = 0) -> Index:
    """Draw pictures ``first`` ... into ``folder`` and publish a version of them."""
    embedder = ImageEmbedder(
        BY_DEFAULT, kept=EmbeddingStore(root.embeddings / BY_DEFAULT.fingerprint).openvino
    )
    drawn = {}
    for number in range(first, first + pictures):
        file = write_picture(folder / f"{number:03d}.png", number, (120, 90))
        content = file.read_bytes()
        pixels = embedder.pixels(content)
        save_copy(pixels, resized_file(root, BY_DEFAULT.resized, content_id(content)))
        drawn[content_id(content)] = (str(file), number % CLASSES, embedder.forward(pixels[None])[0])
    ids = sorted(drawn)
    vectors = np.array([drawn[id_][2] for id_ in ids])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(root.index / version)
    opened = write_index(index.packed, vectors, 2, ids=ids)
    assert opened.sketch is not None
    save_sketch(index.sketch, opened.sketch)
    _write_gallery(index, [(id_, *drawn[id_][:2]) for id_ in ids], vectors)
    golden = json.loads(next(GOLDEN.glob("index/*/manifest.json")).read_text())
    golden |= {"version": version, "images": pictures, "dimension": vectors.shape[1], "files": {}}
    golden |= {"candidates": opened.candidates, "model": {**BY_DEFAULT.description, "runtimes": []}}
    index.record(golden)
    point_to_index(root, CURRENT, index)
    return index


def _write_gallery(index: Index, captions: list[tuple[str, str, int]], vectors: np.ndarray) -> None:
    with closing(sqlite3.connect(index.gallery_file)) as database, database:
        database.executescript(SCHEMA)
        placed = dict.fromkeys((ALL, *range(1, CLASSES + 1)), 0)
        for row, (id_, path, class_) in enumerate(captions):
            class_name = f"Class {class_}"
            file = path.rpartition("/")[2]
            database.execute(
                "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row, id_, path, file, str(class_), class_name, row),
            )
            for number in (ALL, class_ + 1):
                database.execute("INSERT INTO places VALUES (?, 0, ?, ?)", (number, placed[number], row))
                placed[number] += 1
            distances = np.linalg.norm(vectors - vectors[row], axis=1)
            distances[row] = np.inf
            for rank, other in enumerate(np.argsort(distances, kind="stable")[:STORED].tolist(), start=1):
                database.execute(
                    "INSERT INTO neighbours VALUES (?, ?, ?, ?)", (row, rank, other, float(distances[other]))
                )
        for number, count in placed.items():
            name = None if number == ALL else f"Class {number - 1}"
            database.execute("INSERT INTO classes VALUES (?, ?, ?, ?)", (number, name, count, count))


class Search:
    """A warm search that runs, and a client that knows its secret."""

    def __init__(self, root: DataRoot, log: Path, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **os.environ,
            "LOOKALIKE_DATA": str(root.root),
            "LOOKALIKE_SEARCH_SECRET": SECRET,
            **environment,
        }
        self.log = log
        self.client = httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {SECRET}"},
            timeout=PATIENCE_S,
            trust_env=False,
        )
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", f"--port={self.port}"],
                cwd=PROJECT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def until(self, version: str | None, problem: str | None = None) -> None:
        """Wait until that version is served, with that problem."""
        end = time.monotonic() + PATIENCE_S
        said: Any = None
        while time.monotonic() < end and self.process.poll() is None:
            try:
                said = self.client.get("/health").json()
            except httpx.TransportError as error:
                said = error
            else:
                if said["version"] == version and (problem or "") in (said["problem"] or ""):
                    return
            time.sleep(0.1)
        raise AssertionError(f"{said}; {self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@contextmanager
def running_search(root: DataRoot, log: Path, **environment: str) -> Iterator[Search]:
    search = Search(root, log, **environment)
    try:
        yield search
    finally:
        search.process.kill()
        search.process.wait()
        search.client.close()
