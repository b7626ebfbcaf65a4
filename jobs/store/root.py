"""Where everything is in the data root."""

from __future__ import annotations

import logging
import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.base.locks import only_one

log = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[2]

CURRENT = "current"
"""The pointer that a step follows if it is given no name."""
CONTENT_NAME = re.compile("[0-9a-f]{16}")
"""The name of anything that is named by the hash of its content."""


def safe_name(text: str) -> str:
    """Make ``text`` (an Airflow run id, say) a file name that every file system and Hadoop take."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "unnamed"


@dataclass(frozen=True)
class DataRoot:
    """The folders of one data root; each is created when something is written to it."""

    root: Path

    @classmethod
    def from_env(cls) -> DataRoot:
        """The folder named by ``LOOKALIKE_DATA``, else ``data`` in the project."""
        named = os.environ.get("LOOKALIKE_DATA")
        return cls(Path(named).expanduser().resolve() if named else PROJECT / "data")

    @property
    def inbox(self) -> Path:
        """Where new pictures land; read, never written. It may be a link to a folder elsewhere."""
        return self.root / "inbox"

    @property
    def made(self) -> list[Path]:
        """The folders of what the project makes of pictures, links followed: nothing to take in."""
        steps = (self.catalog, self.resized, self.embeddings, self.vectors, self.calibrations, self.index)
        return [folder.resolve() for folder in (*steps, self.uploads, self.queries, self.spark_events)]

    @property
    def apart(self) -> list[Path]:
        """What is not taken in with a folder that the data root lies in; the inbox is a split of its own."""
        return [*self.made, self.sources.resolve(), self.inbox.resolve()]

    @property
    def sources(self) -> Path:
        """What the project drew or downloaded, one folder per source."""
        return self.root / "sources"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog"

    @property
    def resized(self) -> Path:
        """The resized copies; see ``resized_file``."""
        return self.root / "resized"

    def resized_scratch(self, fingerprint: str) -> Path:
        """Where the resized copies of one embed step are written before they are put in place."""
        return self.resized / f".tmp-{fingerprint}"

    @property
    def embeddings(self) -> Path:
        """One dataset per model fingerprint."""
        return self.root / "embeddings"

    @property
    def vectors(self) -> Path:
        """Assembled vectors waiting to be indexed, one folder per content hash."""
        return self.root / "vectors"

    @property
    def calibrations(self) -> Path:
        """How to hash assembled vectors, one folder per content hash."""
        return self.root / "calibrations"

    @property
    def index(self) -> Path:
        return self.root / "index"

    @property
    def uploads(self) -> Path:
        """Uploaded query pictures as they were sent, named by their content."""
        return self.root / "uploads"

    @property
    def queries(self) -> Path:
        return self.root / "queries"

    @property
    def spark_events(self) -> Path:
        """Spark's event logs, if a cluster is set to keep them."""
        return self.root / "spark-events"

    def query_folder(self, run: str) -> Path:
        """The folder of the run's answer; ``run`` may be any text."""
        return self.queries / safe_name(run)


def the_only_airflow(root: DataRoot) -> AbstractContextManager[int]:
    """The block in which an Airflow works on ``root``; see ``only_one``.

    Two would each run every step, watch the inbox and clean up. Raises LookalikeError if there is another.
    """
    return only_one(
        root.root / ".airflow.lock",
        f"another Airflow works on the data root {root.root}: stop it, trigger the DAG there, "
        "or set LOOKALIKE_DATA to another folder.",
    )


def check_fingerprint(fingerprint: str) -> None:
    """Raises LookalikeError if ``fingerprint`` can't be one."""
    if not CONTENT_NAME.fullmatch(fingerprint):
        raise LookalikeError(
            f"{fingerprint!r} is not a fingerprint: give the 16 hex digits of a folder in embeddings/."
        )


def name_or_pointer(folder: Path, name: str, step: str) -> str:
    """``name``, or what the pointer ``current`` in ``folder`` names.

    Raises LookalikeError if ``step`` has made nothing there yet, or ``name`` is not a valid name.
    """
    if name == CURRENT:
        found = read_pointer(folder / CURRENT)
        if found is None:
            raise LookalikeError(f"{folder} names nothing as {CURRENT}: run the step {step} first.")
        log.info(f"{step}: using the current one, {found}")
        return found
    if not CONTENT_NAME.fullmatch(name):
        raise LookalikeError(f"{name!r} in {folder} is not a name: give 16 hex digits or {CURRENT}.")
    return name


def read_pointer(file: Path) -> str | None:
    """The name that a pointer holds; None if there is no such file.

    Raises LookalikeError if it holds no name.
    """
    try:
        name = file.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LookalikeError(
            f"{file} can't be read ({error.strerror}): delete it and run the DAG similarity_index."
        ) from error
    if not CONTENT_NAME.fullmatch(name):
        raise LookalikeError(
            f"{file} holds {name[:40]!r}, which is not a name: delete it and run the DAG similarity_index."
        )
    return name


def resized_file(root: DataRoot, resized: str, id_: str) -> Path:
    """The resized copy of a picture, a JPEG; ``resized`` is ``ModelDescription["resized"]``."""
    return root.resized / resized / id_[:2] / f"{id_}.jpg"


def copied(root: DataRoot, resized: str) -> set[str]:
    """The ids of the pictures that have a resized copy."""
    try:
        parts = [entry.path for entry in os.scandir(root.resized / resized) if entry.is_dir()]
    except FileNotFoundError:
        return set()
    return {name.removesuffix(".jpg") for part in parts for name in os.listdir(part)}
