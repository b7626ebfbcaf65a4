"""An index on disk: its files, its manifest, and which version is the published one.

``index/<version>/`` is complete or absent; ``index/built`` holds the name of the version that was built
last, ``index/current`` that of the published one.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs.base.atomic import in_use
from jobs.base.errors import LookalikeError
from jobs.store.root import DataRoot

BUILT, CURRENT = "built", "current"
VERSION = re.compile("[0-9a-f]{16}")
CAPTION = ("id", "path", "label", "class_name")


@dataclass(frozen=True)
class Index:
    """One version of the index."""

    folder: Path

    @property
    def version(self) -> str:
        return self.folder.name

    @property
    def lsh_model(self) -> Path:
        """The saved BucketedRandomProjectionLSHModel."""
        return self.folder / "model"

    @property
    def reduction(self) -> Path:
        """The saved PCAModel that is applied before hashing; absent where search is exact."""
        return self.folder / "reduction"

    @property
    def sketch(self) -> Path:
        """How hashes are packed and decoded; absent where search is exact."""
        return self.folder / "sketch.npz"

    @property
    def packed(self) -> Path:
        """Vectors and packed hashes, one set of files a part."""
        return self.folder / "packed"

    @property
    def captions_file(self) -> Path:
        """Parquet: id, path, label, class_name; ascending by id, as the packed parts."""
        return self.folder / "captions.parquet"

    @property
    def neighbours(self) -> Path:
        """Parquet: each picture's nearest neighbours; written after the index itself."""
        return self.folder / "neighbours"

    @property
    def report_file(self) -> Path:
        """The page; ``report.json`` lies beside it. Written last."""
        return self.folder / "report.html"

    @property
    def gallery_file(self) -> Path:
        """SQLite: what the pages show of this version, in the orders in which they page through it."""
        return self.folder / "gallery.db"

    @property
    def published_file(self) -> Path:
        """JSON: the run that published this version (None: by hand), and when; absent before."""
        return self.folder / "published.json"

    def published(self) -> dict[str, Any]:
        """What ``published_file`` says, nothing before. Raises LookalikeError where it is spoilt."""
        try:
            told: dict[str, Any] = json.loads(self.published_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise LookalikeError(
                f"{self.published_file} is spoilt ({error}): delete it and publish the version again."
            ) from error
        return told

    @property
    def manifest_file(self) -> Path:
        return self.folder / "manifest.json"

    def manifest(self) -> dict[str, Any]:
        """Raises LookalikeError where the version is missing, incomplete or spoilt."""
        try:
            manifest: dict[str, Any] = json.loads(self.manifest_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise LookalikeError(
                f"{self.folder} is no complete index: name another version or build one."
            ) from error
        except ValueError as error:
            raise LookalikeError(
                f"{self.manifest_file} is no manifest ({error}): delete the version and build it again."
            ) from error
        return manifest

    def captions(self, **wanted: list[str]) -> list[dict[str, Any]]:
        """The rows whose column is among the values, all where nothing is wanted."""
        rows: list[dict[str, Any]] = pq.read_table(
            self.captions_file, filters=[(name, "in", values) for name, values in wanted.items()] or None
        ).to_pylist()
        return rows

    def files(self) -> dict[str, dict[str, int]]:
        """Size and CRC-32 of every file that belongs to the index itself."""
        found = {}
        for part in (self.lsh_model, self.reduction, self.packed, self.sketch, self.captions_file):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    name = file.relative_to(self.folder).as_posix()
                    found[name] = {"bytes": file.stat().st_size, "crc32": _crc32(file)}
        return found

    def verify(self, *, content: bool = False) -> None:
        """Raises LookalikeError where a file that the manifest names is missing or of other size
        or, if asked to read it all, of other content."""
        for name, told in self.manifest()["files"].items():
            file = self.folder / name
            if not file.is_file() or file.stat().st_size != told["bytes"]:
                what = "is missing or cut short"
            elif content and _crc32(file) != told["crc32"]:
                what = "is not what was written"
            else:
                continue
            raise LookalikeError(f"{file} {what}: delete index version {self.version} and build it again.")


def open_index(root: DataRoot, version: str = CURRENT) -> Index:
    """Open a version by its name, the published one (``current``) or the last one (``built``).

    It counts as used, and is not cleaned up for a day.
    Raises LookalikeError where there is none, or it is not complete.
    """
    index = name_index(root, version)
    in_use(index.folder)
    index.verify()
    return index


def name_index(root: DataRoot, version: str = CURRENT) -> Index:
    """As ``open_index``, but the version itself is not looked at."""
    if version in (BUILT, CURRENT):
        try:
            version = (root.index / version).read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            done = "published" if version == CURRENT else "built"
            raise LookalikeError(
                f"no index is {done} in {root.index}: run the DAG similarity_index first."
            ) from error
    if not VERSION.fullmatch(version):
        raise LookalikeError(f"{version!r} is no index version: give 16 hex digits, {CURRENT} or {BUILT}.")
    return Index(root.index / version)


def _crc32(file: Path) -> int:
    value = 0
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            value = zlib.crc32(block, value)
    return value
