"""Index versions on disk: their files, their manifest, and which version is the published one.

``index/<version>/`` is complete or absent; ``index/built`` names the version that was built last,
``index/current`` the published one.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.base.atomic import in_use, write_text
from jobs.base.errors import LookalikeError
from jobs.store.documents import read_document, write_document
from jobs.store.manifest import FORMAT, PUBLISHED_FORMAT, FileStamp, Manifest, Published
from jobs.store.reading import readable
from jobs.store.root import CONTENT_NAME, CURRENT, DataRoot, read_pointer

log = logging.getLogger(__name__)

BUILT = "built"
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
        """The saved PCAModel that is applied before hashing; absent if search is exact."""
        return self.folder / "reduction"

    @property
    def sketch(self) -> Path:
        """How hashes are packed and decoded; absent if search is exact."""
        return self.folder / "sketch.npz"

    @property
    def packed(self) -> Path:
        """Vectors and packed hashes, one set of files per part."""
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
        """SQLite: what the pages and look-ups read about this version's pictures."""
        return self.folder / "gallery.db"

    @property
    def published_file(self) -> Path:
        """When this version was published, and by which run; absent before."""
        return self.folder / "published.json"

    def published(self) -> Published | None:
        """The content of ``published_file``; None before the version is published.

        Raises LookalikeError if it is corrupt or of another format.
        """
        try:
            return read_document(
                self.published_file, Published, PUBLISHED_FORMAT, "delete it and publish the version again"
            )
        except FileNotFoundError:
            return None

    def record_published(self, published: Published) -> None:
        write_document(self.published_file, published, PUBLISHED_FORMAT)

    @property
    def manifest_file(self) -> Path:
        return self.folder / "manifest.json"

    def manifest(self) -> Manifest:
        """Raises LookalikeError if the version is missing, incomplete, corrupt or of another format."""
        try:
            return read_document(
                self.manifest_file, Manifest, FORMAT, "run the DAG similarity_index, which builds another"
            )
        except FileNotFoundError as error:
            raise LookalikeError(
                f"{self.folder} is not a complete index: choose another version or rebuild it."
            ) from error

    def record(self, manifest: Manifest) -> None:
        write_document(self.manifest_file, manifest, FORMAT)

    def captions(self) -> list[dict[str, Any]]:
        """Id, path, label and class_name of every picture, ascending by id."""
        with readable(self.captions_file, self._remedy):
            rows: list[dict[str, Any]] = pq.read_table(self.captions_file).to_pylist()
        return rows

    @property
    def _remedy(self) -> str:
        return f"delete index version {self.version} and run the DAG similarity_index"

    def write_captions(self, captions: pa.Table) -> None:
        pq.write_table(captions, self.captions_file)

    def files(self) -> dict[str, FileStamp]:
        """Size and CRC-32 of every file that belongs to the index itself."""
        return {
            file.relative_to(self.folder).as_posix(): {"bytes": file.stat().st_size, "crc32": _crc32(file)}
            for file in self._own_files()
        }

    def _own_files(self) -> Iterator[Path]:
        for part in (self.lsh_model, self.reduction, self.packed, self.sketch, self.captions_file):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    yield file

    def verify(self, *, content: bool = False) -> None:
        """Raises LookalikeError if a file that the manifest lists is missing or has another size
        or, with ``content``, which reads every byte, another content."""
        for name, stamp in self.manifest()["files"].items():
            file = self.folder / name
            if not file.is_file() or file.stat().st_size != stamp["bytes"]:
                what = "is missing or has another size"
            elif content and _crc32(file) != stamp["crc32"]:
                what = "is corrupt"
            else:
                continue
            raise LookalikeError(f"{file} {what}: {self._remedy}.")


def open_index(root: DataRoot, version: str = CURRENT) -> Index:
    """Open a version by its name, the published one (``current``) or the last one (``built``).

    It counts as used, so housekeeping keeps it for a day.
    Raises LookalikeError if there is none, or it is not complete.
    """
    index = name_index(root, version)
    if version != index.version:
        log.info(f"using the {version} index, {index.version}")
    in_use(index.folder)
    index.verify()
    return index


def complete_versions(root: DataRoot) -> list[Index]:
    """All versions that are complete, in no order; one may be removed meanwhile."""
    folders = [folder for folder in root.index.glob("*") if CONTENT_NAME.fullmatch(folder.name)]
    return [index for index in map(Index, folders) if index.manifest_file.is_file()]


def name_index(root: DataRoot, version: str = CURRENT) -> Index:
    """Like ``open_index``, but without looking at the version's files."""
    if version in (BUILT, CURRENT):
        named = read_pointer(root.index / version)
        if named is None:
            done = "published" if version == CURRENT else "built"
            raise LookalikeError(f"no index is {done} in {root.index}: run the DAG similarity_index first.")
        version = named
    if not CONTENT_NAME.fullmatch(version):
        raise LookalikeError(
            f"{version!r} is not an index version: give 16 hex digits, {CURRENT} or {BUILT}."
        )
    return Index(root.index / version)


def point_to_index(root: DataRoot, pointer: str, index: Index) -> None:
    """Make ``built`` or ``current`` name ``index``, in one step."""
    write_text(root.index / pointer, index.version + "\n")


def _crc32(file: Path) -> int:
    value = 0
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            value = zlib.crc32(block, value)
    return value
