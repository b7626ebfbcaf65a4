"""A folder of pictures with a data root, and embeddings as others read them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from jobs.base.logs import Progress
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedding.embedder import ImageEmbedder
from jobs.embedding.engine import Engine
from jobs.embedding.model import Model
from jobs.embedding.shards import Outcome, Picture, cut
from jobs.embedding.worker import Marks, Worker
from jobs.intake.folder import folder
from jobs.intake.look import content_id
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import CURRENT, DataRoot
from tests.support.converted import MODEL, root_with_converted_weights

THREADS = 2


def embed_inside(
    pictures: Sequence[Picture], root: DataRoot, model: Model, progress: Progress
) -> Iterator[Outcome]:
    """The engine ``local`` without its process, which takes seconds to start: in this one."""
    kept = EmbeddingStore(root.embeddings / model.fingerprint).openvino
    embedder = ImageEmbedder(model, runtime="openvino", threads=THREADS, kept=kept)
    worker = Worker(root, embedder, Marks([RawArray(ctypes.c_char, 33) for _ in range(THREADS)]))
    with worker.pool:
        for answer in worker.embed(cut(pictures), {}):
            if isinstance(answer, int):
                progress.advance(answer)
            else:
                yield answer


class Place:
    """A folder of pictures and a data root: taken in, embedded, in this process mostly, and looked up."""

    def __init__(self, directory: Path) -> None:
        self.pictures, self.root = directory / "pictures", root_with_converted_weights(directory / "data")
        self.pictures.mkdir(parents=True)

    @property
    def store(self) -> EmbeddingStore:
        return EmbeddingStore(self.root.embeddings / MODEL.fingerprint)

    def take_in(self) -> str:
        """The catalog's name."""
        return build_catalog(folder(self.pictures), self.root, max_quarantined=0.9)[0]

    def embed(
        self,
        max_quarantined: float = 0.9,
        catalog: str = CURRENT,
        model: Model = MODEL,
        engine: Engine = embed_inside,
    ) -> dict[str, Any]:
        return embed_catalog(self.root, model, engine, max_quarantined=max_quarantined, catalog=catalog)

    def reasons(self) -> dict[str, str | None]:
        rows = read_catalog(self.root)
        assert all((row["status"] == "ok") == (row["reason"] is None) for row in rows)
        return {Path(row["path"]).name: row["reason"] for row in rows}

    def ids(self) -> set[str]:
        return {content_id(path.read_bytes()) for path in self.pictures.iterdir()}


def bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    assert values.dtype == np.float32
    return values.view(np.uint32)


def csv_vectors(
    file: Path, dimension: int = MODEL.backbone.dimension
) -> tuple[list[str], NDArray[np.float32]]:
    """As Arrow reads them."""
    types = {"id": pa.string()} | {f"e{number}": pa.float32() for number in range(dimension)}
    table = pa.csv.read_csv(file, convert_options=pa.csv.ConvertOptions(column_types=types))
    assert table.column_names == list(types)
    return table["id"].to_pylist(), np.stack(
        [table[f"e{number}"].to_numpy() for number in range(dimension)], axis=1
    )
