"""Join pictures and labels into the catalog, one row per file: the DAG's task ``catalog``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobs.base import options
from jobs.base.command import run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import Progress, section
from jobs.base.machine import cores
from jobs.base.text import plain
from jobs.intake.given_up import worth_another_try
from jobs.intake.join import Join
from jobs.intake.kinds import remedy_of
from jobs.intake.labelling import label_pictures
from jobs.intake.labels import LabelRow, read_class_names
from jobs.intake.listing import Found, Listing, scan
from jobs.intake.look import Look, look
from jobs.intake.source import Source, Split
from jobs.store.catalog import (
    LABELS_TOLD,
    PASSED_OVER,
    PASSED_OVER_COLUMNS,
    UNMATCHED_ROWS,
    Row,
    check_quarantine,
    csv_of,
    read_catalog,
    write_catalog,
)
from jobs.store.root import CURRENT, DataRoot

log = logging.getLogger(__name__)

LINKS_REMEDY = "not followed: copy the folder with cp -rL, and take the copy in"


def build_catalog(
    source: Source,
    root: DataRoot,
    *,
    limit: int | None = None,
    max_quarantined: float = options.MAX_QUARANTINED.default,
    min_matched: float = options.MIN_MATCHED.default,
) -> tuple[str, dict[str, int]]:
    """Write the catalog of ``source`` with what is unmatched; return the catalog's name and the counts.

    Files that the last catalog has with the same path and stamp are not read again.
    ``limit`` takes that many files per split, chosen by the hash of their paths: the same
    ones every time.

    Raises LookalikeError if the source holds no picture, a label CSV can't be read or fits less than
    ``min_matched`` of both its rows and the pictures, or more than ``max_quarantined`` of the files are
    quarantined (the catalog is written anyway, so that their reasons can be read).
    """
    options.check_option(options.LIMIT, limit)
    options.check_option(options.MAX_QUARANTINED, max_quarantined)
    options.check_option(options.MIN_MATCHED, min_matched)
    rows: list[Row] = []
    joins: dict[str, Join] = {}
    listings: dict[str, Listing] = {}
    class_names = read_class_names(Path(source.class_names)) if source.class_names else {}
    known = _known_looks(root)
    for split in source.splits:
        with section(f"split {split.name}"):
            listing = scan(Path(split.pictures), root.apart)
            listings[split.name], files = listing, listing.pictures
            _log_listing(listing)
            relative = [file.relative for file in files]
            joins[split.name] = label_pictures(split, relative, class_names, min_matched)
            chosen = _choose(files, limit)
            looks = _look_at(chosen, known)
            for file, its_look in zip(chosen, looks, strict=True):
                label = joins[split.name].labels.get(file.relative)
                rows.append(_row(file, its_look, split, label, class_names))
    if not rows:
        places = ", ".join(split.pictures for split in source.splits)
        told = "; ".join(dict.fromkeys(what for listing in listings.values() for what in _told(listing)))
        passed_over = f" (passed over {plain(told)})" if told else ""
        raise LookalikeError(f"no picture file in {places}{passed_over}: put pictures there.")
    unknown = sum(
        bool(class_names) and row["label"] is not None and row["label"] not in class_names for row in rows
    )
    counts, beside = _findings(rows, joins)
    counts["unknown_classes"] = unknown
    counts["links_to_folders"] = sum(len(listing.links) for listing in listings.values())
    beside[LABELS_TOLD] = "".join(
        f"split {name}: {plain(told)}\n" for name, join in joins.items() for told in join.told
    ).encode()
    beside[PASSED_OVER] = csv_of(PASSED_OVER_COLUMNS, _passed_over(listings))
    described = json.dumps({"source": source.name, **counts}, indent=2, ensure_ascii=False) + "\n"
    name = write_catalog(rows, root, {**beside, "counts.json": described.encode()})
    for kind, count in counts.items():
        log.info(f"{kind.replace('_', ' ')}: {count:,}")
    check_quarantine(rows, root, max_quarantined)
    return name, counts


def _log_listing(listing: Listing) -> None:
    log.info(f"{len(listing.pictures):,} picture files")
    for told in _told(listing):
        log.info(f"passed over: {told}")


def _told(listing: Listing) -> list[str]:
    """What was passed over, and what can be done about it."""
    told = [
        f"{kind}: {count:,}" + (f" ({remedy})" if (remedy := remedy_of(kind)) else "")
        for kind, count in listing.passed_over.most_common()
    ]
    if links := listing.links:
        shown = ", ".join(links[:5]) + (", ..." if len(links) > 5 else "")
        told.append(f"links to folders: {len(links):,} ({LINKS_REMEDY}): {shown}")
    return told


def _passed_over(listings: dict[str, Listing]) -> list[tuple[str, str, int, str]]:
    """Rows of ``passed_over.csv``."""
    rows = []
    for split, listing in listings.items():
        rows += [(split, kind, count, remedy_of(kind)) for kind, count in listing.passed_over.most_common()]
        rows += [(split, f"link to a folder: {link}", 1, LINKS_REMEDY) for link in listing.links]
    return rows


def _choose(files: list[Found], limit: int | None) -> list[Found]:
    if limit is None or limit >= len(files):
        return files

    def draw(file: Found) -> bytes:
        return hashlib.sha256(file.relative.encode()).digest()

    return sorted(sorted(files, key=draw)[:limit], key=lambda file: file.path)


def _known_looks(root: DataRoot) -> dict[tuple[str, str], Look]:
    """(path, stamp) -> what the earlier catalog says, where it would say so again.

    A file of which not even the header was of use is read again, because a limit may have been raised since,
    or a format learned. A picture that ``embed`` put aside has a header.
    """
    if not (root.catalog / CURRENT).exists():
        log.info("no earlier catalog: every file is read")
        return {}
    try:
        rows = read_catalog(root)
    except LookalikeError as error:
        log.info(f"the earlier catalog can't be used, every file is read: {error}")
        return {}
    return {
        (row["path"], row["stamp"]): Look(row["id"], row["width"], row["height"], row["mode"], row["reason"])
        for row in rows
        if row["id"] is not None and row["width"] is not None and not worth_another_try(row["reason"])
    }


def _look_at(files: list[Found], known: dict[tuple[str, str], Look]) -> list[Look]:
    """Read the files that are not known; reading waits for the disk, so threads help."""
    progress = Progress(len(files), "pictures", log)

    def known_or_read(file: Found) -> Look:
        if file.reason:
            return Look(reason=file.reason)
        return known.get((file.path, file.stamp)) or look(file.path)

    looks = []
    with ThreadPoolExecutor(cores()) as threads:
        for its_look in threads.map(known_or_read, files):
            looks.append(its_look)
            progress.advance()
    progress.finish()
    return looks


def _row(file: Found, its_look: Look, split: Split, label: str | None, class_names: dict[str, str]) -> Row:
    return {
        "id": its_look.id,
        "path": file.path,
        "split": split.name,
        "label": label,
        "class_name": class_names.get(label, label) if label is not None else None,
        "width": its_look.width,
        "height": its_look.height,
        "mode": its_look.mode,
        "size_bytes": file.size_bytes,
        "stamp": file.stamp,
        "status": "quarantined" if its_look.reason else "ok",
        "reason": its_look.reason,
    }


def _findings(rows: list[Row], joins: dict[str, Join]) -> tuple[dict[str, int], dict[str, bytes]]:
    """The counts, and the CSVs beside the catalog."""
    unmatched_rows = [(name, row) for name, join in joins.items() for row in join.unmatched_rows]
    unmatched_files = [(name, file) for name, join in joins.items() for file in join.unmatched_files]
    duplicates = _duplicates(rows)
    beside = {
        UNMATCHED_ROWS: csv_of(
            ("split", "row", "image", "label", "reason"),
            ((name, *_cells(row)) for name, row in unmatched_rows),
        ),
        "unmatched_files.csv": csv_of(("split", "file"), unmatched_files),
        "duplicates.csv": csv_of(("id", "path", "label", "conflict"), duplicates),
    }
    quarantined = [row for row in rows if row["status"] == "quarantined"]
    for row in quarantined[:20]:
        log.warning(f"quarantined {row['path']!r}: {row['reason']}")
    counts = {
        "files": len(rows),
        "labelled": sum(row["label"] is not None for row in rows),
        "quarantined": len(quarantined),
        "unmatched_rows": len(unmatched_rows),
        "unmatched_files": len(unmatched_files),
        "duplicate_rows": sum(join.duplicate_rows for join in joins.values()),
        "duplicate_files": len(duplicates),
        "conflicting_labels": sum(conflict for *_, conflict in duplicates),
    }
    return counts, beside


def _cells(row: LabelRow) -> tuple[int, str, str, str | None]:
    return row.row, row.image, row.label, row.reason


def _duplicates(rows: list[Row]) -> list[tuple[str, str, str | None, bool]]:
    """Files with the same bytes as another file; ``conflict`` if their labels differ."""
    by_id: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["status"] == "ok":
            by_id[row["id"]].append(row)
    return [
        (id_, row["path"], row["label"], len({row["label"] for row in same} - {None}) > 1)
        for id_, same in sorted(by_id.items())
        if len(same) > 1
        for row in same
    ]


def _read_source(file: Path) -> Source:
    try:
        return Source.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise LookalikeError(
            f"{file} does not describe a source ({type(error).__name__}): "
            "write it with python -m jobs.sources --output."
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser(
        "python -m jobs.catalog", __doc__, options.LIMIT, options.MAX_QUARANTINED, options.MIN_MATCHED
    )
    parser.add_argument("--source", type=Path, required=True, help="JSON that python -m jobs.sources wrote")

    def step(given: argparse.Namespace) -> dict[str, object]:
        name, counts = build_catalog(
            _read_source(given.source),
            DataRoot.from_env(),
            limit=given.limit,
            max_quarantined=given.max_quarantined,
            min_matched=given.min_matched,
        )
        return {"catalog": name, **counts}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
