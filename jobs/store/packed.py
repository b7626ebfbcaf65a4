"""Vectors and packed hashes in files that a reader maps into memory: a search reads all of the codes and
only the vectors that it re-ranks.

``packed/part-00000.{ids,codes,norms,clipped,vectors}.npy`` hold the same pictures in the same order: ids
(n,) as 32 bytes each; codes (n, bytes) uint8 and norms (n,) float32 as ``Sketch`` makes them; how many of
a picture's hashes were clipped, (n,) uint16; vectors (n, d) float32 of length 1. Ids ascend, within a
part and from part to part. ``packed.json`` lists the parts; ``sketch.npz`` beside the folder decodes codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import TypedDict

from jobs.base.errors import LookalikeError
from jobs.lsh.sketch import Floats, Sketch
from jobs.lsh.splits import Ids
from jobs.store.arrays import load_arrays, save_arrays
from jobs.store.documents import read_document, write_document
from jobs.store.reading import readable

FORMAT = 1


class Listed(TypedDict):
    name: str
    pictures: int


class Packed(TypedDict):
    """``packed.json``."""

    dimension: int
    parts: list[Listed]
    """In the order of their ids."""


@dataclass(frozen=True)
class Part:
    """The pictures of one part, mapped into memory."""

    ids: Ids
    codes: NDArray[np.uint8]
    norms: Floats
    clipped: NDArray[np.uint16]
    vectors: Floats

    @classmethod
    def open(cls, name: str) -> Part:
        """``name`` is a part's path without ``.ids.npy``.

        Raises LookalikeError if a file is missing or corrupt.
        """
        version = Path(name).parent.parent.name
        arrays = []
        for field in fields(cls):
            file = Path(f"{name}.{field.name}.npy")
            with readable(file, f"delete index version {version} and run the DAG similarity_index"):
                arrays.append(np.load(file, mmap_mode="r"))
        return cls(*arrays)

    def save(self, name: str) -> None:
        for kind, array in vars(self).items():
            with open(f"{name}.{kind}.npy", "wb") as file:
                np.save(file, array)

    def batch(self) -> pa.RecordBatch:
        """The pictures as rows: id, vector, codes, norm, clipped."""
        return pa.record_batch(
            {
                "id": pa.array(self.ids.astype(str).tolist()),
                "vector": _lists(self.vectors),
                "codes": pa.array([row.tobytes() for row in self.codes], pa.binary()),
                "norm": pa.array(self.norms),
                "clipped": pa.array(self.clipped.astype(np.int32)),
            }
        )

    @classmethod
    def of(cls, batches: list[pa.RecordBatch]) -> Part:
        """The inverse of ``batch``, for several batches."""
        table = pa.Table.from_batches(batches).combine_chunks()
        rows = len(table)
        codes = np.frombuffer(b"".join(table["codes"].to_pylist()), np.uint8)
        return cls(
            np.array(table["id"].to_pylist(), "S32"),
            codes.reshape(rows, -1),
            table["norm"].to_numpy(),
            table["clipped"].to_numpy().astype(np.uint16),
            array_of(table["vector"]),
        )


def part_names(folder: Path) -> list[str]:
    """The names of all parts in ``folder``, for ``Part.open``.

    Raises LookalikeError if the list of them is missing, corrupt or of another format.
    """
    return [str(folder / part["name"]) for part in _listed(folder)["parts"]]


def open_parts(folder: Path) -> list[Part]:
    return [Part.open(name) for name in part_names(folder)]


def list_parts(folder: Path, dimension: int, parts: Sequence[Listed]) -> None:
    """Write ``packed.json``."""
    write_document(folder / "packed.json", Packed(dimension=dimension, parts=list(parts)), FORMAT)


def _listed(folder: Path) -> Packed:
    remedy = f"delete index version {folder.parent.name} and rebuild it"
    try:
        return read_document(folder / "packed.json", Packed, FORMAT, remedy)
    except FileNotFoundError as error:
        raise LookalikeError(f"{folder / 'packed.json'} is missing: {remedy}.") from error


def save_sketch(file: Path, sketch: Sketch) -> None:
    save_arrays(file, sketch, FORMAT)


def load_sketch(file: Path) -> Sketch:
    """Raises LookalikeError if it is missing, corrupt or of another format."""
    remedy = f"delete index version {file.parent.name} and rebuild it"
    return load_arrays(file, Sketch, FORMAT, remedy)


def draw(parts: Sequence[Part], count: int, seed: int) -> tuple[list[str], Floats]:
    """Ids and vectors of ``count`` pictures at random, the same for the same seed."""
    pictures = sum(len(part.ids) for part in parts)
    return take(parts, np.sort(np.random.default_rng(seed).permutation(pictures)[:count]))


def all_ids(parts: Sequence[Part]) -> Ids:
    """The ids of all pictures, part after part."""
    return np.concatenate([part.ids for part in parts])


def take(parts: Sequence[Part], rows: NDArray[np.int64]) -> tuple[list[str], Floats]:
    """Ids and vectors of some rows of ``all_ids``, given in ascending order."""
    starts = np.cumsum([0, *(len(part.ids) for part in parts)])
    chosen = [
        (part, rows[(rows >= start) & (rows < start + len(part.ids))] - start)
        for part, start in zip(parts, starts[:-1], strict=True)
    ]
    ids = np.concatenate([part.ids[within] for part, within in chosen])
    return ids.astype(str).tolist(), np.concatenate([part.vectors[within] for part, within in chosen])


def array_of(lists: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """A column of n lists of d numbers -> (n, d)."""
    rows = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    array: NDArray[Any] = rows.flatten().to_numpy().reshape(len(rows), -1)
    return array


def _lists(array: NDArray[Any]) -> pa.ListArray:
    offsets = np.arange(len(array) + 1, dtype=np.int32) * array.shape[1]
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(array).ravel())
