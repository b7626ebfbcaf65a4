"""Say what the catalog holds that the last index does not: the DAG's task ``changes``."""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step
from jobs.store.catalog import Row, read_catalog
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, open_index

log = logging.getLogger(__name__)

NAMES = ("path", "label", "class_name")


@dataclass(frozen=True)
class Changes:
    """Pictures by content: files of the same bytes count once."""

    index: str | None
    """The version that the catalog was compared with; None where there is none by this model."""
    new: int
    gone: int
    renamed: int
    """Labelled otherwise, or no longer where they were."""

    def __bool__(self) -> bool:
        return bool(self.index is None or self.new or self.gone or self.renamed)

    def __str__(self) -> str:
        return f"{self.new:,} new, {self.gone:,} gone, {self.renamed:,} with another label or path"


def find_changes(root: DataRoot, fingerprint: str) -> Changes:
    """Compare the catalog's usable pictures with the index that was built last.

    That may be another one than the published: an index that was put back is not replaced before
    something lands. Raises LookalikeError where there is no catalog.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in read_catalog(root):
        if row["status"] == "ok":
            rows[row["id"]].append(row)
    try:
        index = open_index(root, BUILT)
        if index.manifest()["model"]["fingerprint"] != fingerprint:
            raise LookalikeError(f"index {index.version} is of another model than {fingerprint}.")
    except LookalikeError as error:
        log.info(f"all pictures are new: {error}")
        return Changes(None, len(rows), 0, 0)
    indexed = {row["id"]: row for row in index.captions()}
    changes = Changes(
        index.version,
        new=len(rows.keys() - indexed.keys()),
        gone=len(indexed.keys() - rows.keys()),
        renamed=sum(
            all(_names(indexed[id_]) != _names(row) for row in rows[id_])
            for id_ in indexed.keys() & rows.keys()
        ),
    )
    log.info(f"against index {index.version}: {changes}")
    return changes


def _names(row: Row) -> tuple[str | None, ...]:
    return tuple(row[name] for name in NAMES)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.changes", description=__doc__)
    parser.add_argument("--fingerprint", required=True, help="which model's embeddings: a folder's name")

    def step(options: argparse.Namespace) -> None:
        find_changes(DataRoot.from_env(), options.fingerprint)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
