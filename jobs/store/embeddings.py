"""The embeddings on disk: Parquet shards keyed by content hash, and one CSV of them all.

``embeddings/<fingerprint>/`` holds ``model.json``, ``shard-*.parquet``, ``embeddings.csv`` and, in
``embeddings.csv.json``, which shards that CSV holds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from typing_extensions import TypedDict

from jobs.base.atomic import staged_file
from jobs.base.errors import LookalikeError
from jobs.base.ranges import Count
from jobs.store.documents import FIRST, check_format, read_document, write_document
from jobs.store.reading import readable

FORMAT = 2
"""Of ``model.json``."""
SHARD_FORMAT = 1
"""Of the shards, which earlier releases wrote without a number."""
CSV_FORMAT = 1
"""Of ``embeddings.csv.json``."""
REMEDY = "move it away and run the step embed again"


class Embedded(TypedDict):
    """``model.json``: what made the embeddings."""

    architecture: str
    layer: str
    weights: str
    """``imagenet``, ``random`` or a path."""
    weights_sha256: str
    decoding: NotRequired[int]
    """How files are decoded to pixels; up to 0.1 it had no number."""
    geometry: str
    resize: str
    precision: str
    dimension: Count
    fingerprint: str
    title: str
    """The architecture's name, for people."""
    side: Count
    """Width and height of the embedded square, in pixels."""
    licence: str
    """Of the pretrained weights."""
    resized: str
    """The folder in ``resized/`` that holds the copies of that size."""


class ModelDescription(Embedded):
    """``model.json`` and what the shards record: part of manifests and answers."""

    runtimes: list[str]
    """What computed them."""


class CsvHolds(TypedDict):
    """``embeddings.csv.json``: what the CSV was made of."""

    bytes: int
    shards: list[str]


FORMAT_KEY = b"format"
"""Key of a shard's metadata: its format number."""

BROKEN = b"broken"
"""Key of a shard's metadata: JSON, id -> reason of the pictures that could not be decoded."""

RUNTIME = b"runtime"
"""Key of a shard's metadata: what computed it."""


def schema(dimension: int) -> pa.Schema:
    """Of a shard."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )


def csv_columns(dimension: int) -> list[str]:
    return ["id", *(f"e{number}" for number in range(dimension))]


@dataclass(frozen=True)
class EmbeddingStore:
    """The embeddings that one model made; ``folder`` is named by the model's fingerprint."""

    folder: Path

    @property
    def fingerprint(self) -> str:
        return self.folder.name

    @property
    def csv(self) -> Path:
        return self.folder / "embeddings.csv"

    @property
    def openvino(self) -> Path:
        """The network as OpenVINO converted it; may be deleted."""
        return self.folder / "openvino"

    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("shard-*.parquet"))

    @property
    def _model_file(self) -> Path:
        return self.folder / "model.json"

    def describe(self, model: Embedded) -> None:
        """Record which model made these embeddings; an older release's record is replaced."""
        try:
            self._recorded()
        except LookalikeError:
            write_document(self._model_file, model, FORMAT)

    def _recorded(self) -> Embedded:
        try:
            return read_document(self._model_file, Embedded, FORMAT, "run the step embed again")
        except FileNotFoundError as error:
            raise LookalikeError(f"{self.folder} holds no embeddings: run the step embed first.") from error

    def model(self) -> ModelDescription:
        """What ``describe`` recorded, and the ``runtimes`` that computed the embeddings.

        Raises LookalikeError if nothing was embedded yet or the record is corrupt or of another format.
        """
        recorded = self._recorded()
        runtimes = {metadata[RUNTIME].decode() for metadata in self._metadata() if RUNTIME in metadata}
        return ModelDescription(**recorded, runtimes=sorted(runtimes))

    def ids(self) -> set[str]:
        return {id_ for shard in self.shards() for id_ in _ids(shard)}

    def broken(self) -> dict[str, str]:
        """Id -> reason of every picture that can't be decoded."""
        reasons: dict[str, str] = {}
        for metadata in self._metadata():
            reasons |= json.loads(metadata.get(BROKEN, b"{}"))
        return reasons

    def _metadata(self) -> Iterator[dict[bytes, bytes]]:
        for shard in self.shards():
            with readable(shard, REMEDY):
                metadata = pq.read_schema(shard).metadata or {}
                number = int(metadata.get(FORMAT_KEY, b"%d" % FIRST))
            check_format(shard, number, SHARD_FORMAT, REMEDY)
            yield metadata

    def write(
        self,
        ids: Sequence[str],
        embeddings: NDArray[np.float32],
        broken: Mapping[str, str] | None = None,
        runtime: str = "unknown",
    ) -> None:
        """Add a shard in one step, named by its ids: n ids and their (n, d) embeddings.

        ``broken``, id -> reason of pictures that can't be decoded, goes into the shard's metadata, so
        that no later run tries them again; so does the ``runtime`` that computed it.
        """
        broken = broken or {}
        name = hashlib.sha256("\n".join([*ids, *sorted(broken)]).encode()).hexdigest()[:16]
        dimension = embeddings.shape[1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), dimension)
        metadata = {FORMAT_KEY: str(SHARD_FORMAT), BROKEN: json.dumps(broken), RUNTIME: runtime}
        columns = [pa.array(ids, pa.string()), column]
        table = pa.table(columns, schema=schema(dimension).with_metadata(metadata))
        with staged_file(self.folder / f"shard-{name}.parquet") as staging:
            pq.write_table(table, staging)

    def read(self) -> tuple[list[str], NDArray[np.float32]]:
        """All ids, sorted, and their (n, d) float32 embeddings."""
        table = pa.concat_tables(_table(shard) for shard in self.shards()).sort_by("id")
        return table["id"].to_pylist(), _values(table)

    def write_csv(self) -> bool:
        """Bring the CSV up to date with the shards: its rows are copied, those of new shards added.

        Columns: id, e0, e1 ... . Each value is the shortest decimal that reads back as
        the same float32. Returns whether there was anything to add.
        """
        shards = {shard.name: shard for shard in self.shards()}
        written = self._in_csv()
        if not written <= shards.keys():
            written = set()
        if written == shards.keys():
            return False
        with staged_file(self.csv) as staging:
            with staging.open("wb") as file:
                if written:
                    with self.csv.open("rb") as before:
                        shutil.copyfileobj(before, file, 1 << 20)
                for name in sorted(shards.keys() - written):
                    options = pa.csv.WriteOptions(include_header=file.tell() == 0)
                    pa.csv.write_csv(_as_columns(shards[name]), file, options)
            size = staging.stat().st_size
        write_document(self._csv_holds, CsvHolds(bytes=size, shards=sorted(shards)), CSV_FORMAT)
        return True

    @property
    def _csv_holds(self) -> Path:
        return self.folder / "embeddings.csv.json"

    def _in_csv(self) -> set[str]:
        """Names of the shards whose rows the CSV has; none if the CSV was changed."""
        try:
            held = read_document(
                self._csv_holds, CsvHolds, CSV_FORMAT, "delete it and run the step embed again"
            )
            whole = self.csv.stat().st_size == held["bytes"]
        except (FileNotFoundError, LookalikeError):
            return set()  # the CSV is made of the shards: written again, it can't be wrong
        return set(held["shards"]) if whole else set()


def _as_columns(shard: Path) -> pa.Table:
    table = _table(shard)
    values = _values(table)
    columns = [pa.array(values[:, number]) for number in range(values.shape[1])]
    return pa.table([table["id"], *columns], names=csv_columns(values.shape[1]))


def _values(table: pa.Table) -> NDArray[np.float32]:
    column = table["embedding"]
    values: NDArray[np.float32] = column.combine_chunks().flatten().to_numpy()
    return values.reshape(-1, column.type.list_size)


def _ids(shard: Path) -> list[str]:
    ids: list[str] = _table(shard, ["id"])["id"].to_pylist()
    return ids


def _table(shard: Path, columns: list[str] | None = None) -> pa.Table:
    # read_table would import pandas, which takes longer than all else if nothing is new.
    with readable(shard, REMEDY), pq.ParquetFile(shard) as file:
        return file.read(columns).replace_schema_metadata(None)
