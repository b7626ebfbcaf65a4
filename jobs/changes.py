"""Compare the catalog with the index that was built last: the DAG's task ``changes``."""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from jobs.base import options
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.text import plain
from jobs.store.catalog import Row, labelled_first, read_catalog, usable_by_split
from jobs.store.root import CURRENT, DataRoot, check_fingerprint, copied
from jobs.store.settings import published_settings
from jobs.store.versions import BUILT, open_index

log = logging.getLogger(__name__)

NAMES = ("path", "label", "class_name")


@dataclass(frozen=True)
class Changes:
    """Numbers of pictures; files with the same bytes count once."""

    index: str | None
    """The version that the catalog was compared with; None if there is none of this model."""
    new: int
    gone: int
    renamed: int
    """With another label, class name or path."""
    lacking: int = 0
    """That have lost their resized copy."""

    @property
    def anything(self) -> bool:
        """Whether to rebuild the index."""
        return bool(self.index is None or self.new or self.gone or self.renamed or self.lacking)


def find_changes(
    root: DataRoot,
    fingerprint: str,
    *,
    catalog: str = CURRENT,
    max_removed: float = options.MAX_REMOVED.default,
) -> Changes:
    """Compare the usable pictures of a catalog, by name or the last one, with the index that was built last.

    That may differ from the published one: a restored version is not replaced before new pictures
    land. Raises LookalikeError if there is no catalog, and if more than ``max_removed`` (0 to 1) of the
    published index's pictures or all of one of its splits are gone.
    """
    check_fingerprint(fingerprint)
    options.check_option(options.MAX_REMOVED, max_removed)
    files = read_catalog(root, catalog)
    if max_removed < 1:
        _check_removed(root, files, max_removed)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in files:
        if row["status"] == "ok":
            rows[row["id"]].append(row)
    if not (root.index / BUILT).exists():
        log.info("no earlier index: every picture is new")
        return Changes(None, len(rows), 0, 0)
    try:
        index = open_index(root, BUILT)
        model = index.manifest()["model"]
        if model["fingerprint"] != fingerprint:
            raise LookalikeError(
                f"index {index.version} is of model {model['fingerprint']}, not {fingerprint}."
            )
        indexed = {row["id"]: row for row in index.captions()}
    except LookalikeError as error:
        log.info(f"the earlier index can't be compared with, every picture is new: {error}")
        return Changes(None, len(rows), 0, 0)
    changes = Changes(
        index.version,
        new=len(rows.keys() - indexed.keys()),
        gone=len(indexed.keys() - rows.keys()),
        renamed=sum(
            all(_names(indexed[id_]) != _names(row) for row in labelled_first(rows[id_]))
            for id_ in indexed.keys() & rows.keys()
        ),
        lacking=len((indexed.keys() & rows.keys()) - copied(root, model["resized"])),
    )
    log.info(
        f"compared with index {index.version}: {changes.new:,} new, {changes.gone:,} gone, "
        f"{changes.renamed:,} with another label or path, {changes.lacking:,} without resized copy"
    )
    return changes


def _check_removed(root: DataRoot, files: list[Row], max_removed: float) -> None:
    """Removed is a picture of which neither path nor bytes are in the catalog, not one edited or moved."""
    if not (root.index / CURRENT).exists():
        return
    try:
        published, settings = open_index(root).captions(), published_settings(root)
    except LookalikeError as error:
        log.warning(f"what would be removed is not known: {error}")
        return
    there = {row["path"] for row in files} | {row["id"] for row in files}
    removed = [row for row in published if there.isdisjoint((row["path"], row["id"]))]
    remedy = (
        "check that its folder, disk or share is there; if they are meant to be gone, "
        f"set {options.MAX_REMOVED.name} to 1."
    )
    if len(removed) > max_removed * len(published):
        raise LookalikeError(
            f"{len(removed):,} of the {len(published):,} pictures of the published index are gone, more than "
            f"the {max_removed:.0%} allowed, {plain(removed[0]['path'])} among them: {remedy}"
        )
    left = usable_by_split(files)
    for split, pictures in (settings.get("splits", {}) if settings else {}).items():
        if pictures and not left.get(split):
            raise LookalikeError(f"all {pictures:,} pictures of the split {split} are gone: {remedy}")


def _names(row: Row) -> tuple[str | None, ...]:
    return tuple(row[name] for name in NAMES)


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.changes", __doc__, options.MAX_REMOVED)
    parser.add_argument("--fingerprint", required=True, help="the model: the name of a folder in embeddings/")
    add_name(parser, "--catalog", "the catalog", CURRENT)

    def step(given: argparse.Namespace) -> dict[str, object]:
        changes = find_changes(
            DataRoot.from_env(), given.fingerprint, catalog=given.catalog, max_removed=given.max_removed
        )
        return asdict(changes)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
