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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.base.atomic import staged_file, write_json
from jobs.base.errors import LookalikeError

DIMENSION = 512

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float32(), DIMENSION), nullable=False),
    ]
)

BROKEN = b"broken"
"""Key of a shard's metadata: JSON, id -> reason of the pictures that could not be decoded."""

RUNTIME = b"runtime"
"""Key of a shard's metadata: what computed it."""

CSV_COLUMNS = ["id", *(f"e{number}" for number in range(DIMENSION))]


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
        """What OpenVINO made of the weights; may be lost."""
        return self.folder / "openvino"

    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("shard-*.parquet"))

    def describe(self, model: dict[str, Any]) -> None:
        """Record what model made these embeddings, once."""
        if not (self.folder / "model.json").exists():
            write_json(self.folder / "model.json", {**model, "fingerprint": self.fingerprint})

    def model(self) -> dict[str, Any]:
        """What ``describe`` recorded, and the ``runtimes`` that computed it.

        Raises LookalikeError where nothing was embedded yet.
        """
        try:
            text = (self.folder / "model.json").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise LookalikeError(f"{self.folder} holds no embeddings: run the step embed first.") from error
        runtimes = {told[RUNTIME].decode() for told in self._metadata() if RUNTIME in told}
        return {**json.loads(text), "runtimes": sorted(runtimes)}

    def ids(self) -> set[str]:
        return {id_ for shard in self.shards() for id_ in _ids(shard)}

    def broken(self) -> dict[str, str]:
        """Id -> reason of every picture that was found to be undecodable."""
        found: dict[str, str] = {}
        for told in self._metadata():
            found |= json.loads(told.get(BROKEN, b"{}"))
        return found

    def _metadata(self) -> Iterator[dict[bytes, bytes]]:
        for shard in self.shards():
            yield pq.read_schema(shard).metadata or {}

    def write(
        self,
        ids: Sequence[str],
        embeddings: NDArray[np.float32],
        broken: Mapping[str, str] | None = None,
        runtime: str = "unknown",
    ) -> None:
        """Add a shard in one step, named by its ids: n ids and their (n, 512) embeddings.

        Undecodable pictures go along in the shard's metadata, id -> reason, so that no later
        run tries them again; so does the ``runtime`` that computed it.
        """
        broken = broken or {}
        name = hashlib.sha256("\n".join([*ids, *sorted(broken)]).encode()).hexdigest()[:16]
        column = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), DIMENSION)
        schema = SCHEMA.with_metadata({BROKEN: json.dumps(broken), RUNTIME: runtime})
        table = pa.table([pa.array(ids, pa.string()), column], schema=schema)
        with staged_file(self.folder / f"shard-{name}.parquet") as staging:
            pq.write_table(table, staging)

    def read(self) -> tuple[list[str], NDArray[np.float32]]:
        """All ids, sorted, and their (n, 512) float32 embeddings."""
        table = pa.concat_tables(_table(shard) for shard in self.shards()).sort_by("id")
        flat = table["embedding"].combine_chunks().flatten().to_numpy()
        return table["id"].to_pylist(), flat.reshape(-1, DIMENSION)

    def write_csv(self) -> bool:
        """Bring the CSV up to all shards: rows that it has are copied, those of new shards added.

        Columns: id, e0 ... e511. Each value is the shortest decimal that reads back as
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
        write_json(self._csv_holds, {"bytes": size, "shards": sorted(shards)})
        return True

    @property
    def _csv_holds(self) -> Path:
        return self.folder / "embeddings.csv.json"

    def _in_csv(self) -> set[str]:
        """Names of the shards whose rows the CSV has; none where it is not as it was left."""
        try:
            told = json.loads(self._csv_holds.read_text(encoding="utf-8"))
            whole = self.csv.stat().st_size == told["bytes"]
        except FileNotFoundError:
            return set()
        return set(told["shards"]) if whole else set()


def _as_columns(shard: Path) -> pa.Table:
    table = _table(shard)
    flat = table["embedding"].combine_chunks().flatten().to_numpy()
    values = flat.reshape(-1, DIMENSION)
    columns = [pa.array(values[:, number]) for number in range(DIMENSION)]
    return pa.table([table["id"], *columns], names=CSV_COLUMNS)


def _ids(shard: Path) -> list[str]:
    ids: list[str] = _table(shard, ["id"])["id"].to_pylist()
    return ids


def _table(shard: Path, columns: list[str] | None = None) -> pa.Table:
    # read_table would import pandas, which takes longer than all else where nothing is new.
    with pq.ParquetFile(shard) as file:
        return file.read(columns).replace_schema_metadata(None)
