"""An index on disk: its manifest, and the name of the published one.

``index/<version>/`` is complete or absent; ``index/current`` holds a version's name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import LookalikeError
from jobs.paths import DataRoot
from jobs.publish import write_text


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
    def pictures(self) -> Path:
        """Parquet: id, path, label, class_name, vector, hashes."""
        return self.folder / "pictures"

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

    def publish(self) -> None:
        """Make this version the current one, in one step."""
        write_text(self.folder.parent / "current", self.version + "\n")


def open_index(root: DataRoot, version: str = "current") -> Index:
    """Open a version by its name, or the published one.

    Raises LookalikeError where there is none.
    """
    if version == "current":
        try:
            version = (root.index / "current").read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise LookalikeError(
                f"no index is published in {root.index}: run the DAG similarity_index first."
            ) from error
    if not re.fullmatch(r"[0-9a-f]{16}", version):
        raise LookalikeError(f"{version!r} is no index version: give 16 hex digits or current.")
    index = Index(root.index / version)
    index.manifest()
    return index
