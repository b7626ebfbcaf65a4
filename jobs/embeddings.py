"""The embeddings on disk: Parquet shards keyed by content hash, and one CSV of them all.

``embeddings/<fingerprint>/`` holds ``model.json``, ``shard-*.parquet`` and ``embeddings.csv``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.atomic import staged_file, write_json
from jobs.errors import LookalikeError

DIMENSION = 512

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float32(), DIMENSION), nullable=False),
    ]
)

BROKEN = b"broken"
"""Key of a shard's metadata: JSON, id -> reason of the pictures that could not be decoded."""

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

    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("shard-*.parquet"))

    def describe(self, model: dict[str, Any]) -> None:
        """Record what model made these embeddings, once."""
        if not (self.folder / "model.json").exists():
            write_json(self.folder / "model.json", {**model, "fingerprint": self.fingerprint})

    def model(self) -> dict[str, Any]:
        """What ``describe`` recorded. Raises LookalikeError where nothing was embedded yet."""
        try:
            text = (self.folder / "model.json").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise LookalikeError(f"{self.folder} holds no embeddings: run the step embed first.") from error
        model: dict[str, Any] = json.loads(text)
        return model

    def ids(self) -> set[str]:
        return {id_ for shard in self.shards() for id_ in _ids(shard)}

    def broken(self) -> dict[str, str]:
        """Id -> reason of every picture that was found to be undecodable."""
        found: dict[str, str] = {}
        for shard in self.shards():
            found |= json.loads((pq.read_schema(shard).metadata or {}).get(BROKEN, b"{}"))
        return found

    def write(
        self, ids: Sequence[str], embeddings: NDArray[np.float32], broken: Mapping[str, str] | None = None
    ) -> None:
        """Add a shard in one step, named by its ids: n ids and their (n, 512) embeddings.

        Undecodable pictures go along in the shard's metadata, id -> reason, so that no later
        run tries them again.
        """
        broken = broken or {}
        name = hashlib.sha256("\n".join([*ids, *sorted(broken)]).encode()).hexdigest()[:16]
        column = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), DIMENSION)
        schema = SCHEMA.with_metadata({BROKEN: json.dumps(broken)})
        table = pa.table([pa.array(ids, pa.string()), column], schema=schema)
        with staged_file(self.folder / f"shard-{name}.parquet") as staging:
            pq.write_table(table, staging)

    def read(self) -> tuple[list[str], NDArray[np.float32]]:
        """All ids, sorted, and their (n, 512) float32 embeddings."""
        table = pa.dataset.dataset(self.shards(), schema=SCHEMA).to_table().sort_by("id")
        flat = table["embedding"].combine_chunks().flatten().to_numpy()
        return table["id"].to_pylist(), flat.reshape(-1, DIMENSION)

    def write_csv(self) -> bool:
        """Write every embedding as one CSV row, unless the CSV is newer than all shards.

        Columns: id, e0 ... e511. Each value is the shortest decimal that reads back as
        the same float32. Returns whether it was written.
        """
        shards = self.shards()
        newest = max(shard.stat().st_mtime_ns for shard in shards)
        if self.csv.exists() and self.csv.stat().st_mtime_ns > newest:
            return False
        schema = pa.schema([(name, pa.float32() if name != "id" else pa.string()) for name in CSV_COLUMNS])
        with staged_file(self.csv) as staging, pa.csv.CSVWriter(staging, schema) as writer:
            for shard in shards:
                table = pq.read_table(shard, schema=SCHEMA)
                flat = table["embedding"].combine_chunks().flatten().to_numpy()
                values = flat.reshape(-1, DIMENSION)
                columns = [pa.array(values[:, number]) for number in range(DIMENSION)]
                writer.write_table(pa.table([table["id"], *columns], schema=schema))
        return True


def _ids(shard: Path) -> list[str]:
    ids: list[str] = pq.read_table(shard, columns=["id"])["id"].to_pylist()
    return ids
