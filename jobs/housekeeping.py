"""### Removes what is no longer needed

Runs every night, and whenever it is triggered. Tick *only say what would go* (`--dry-run`) to look first.

| in the data root | stays | then goes |
|---|---|---|
| `index/<version>/` | current, last built, the `keep_versions` published last | unused for a day |
| `catalog/<hash>/` | the current one, those of versions and vectors that stay | unused for a day |
| `calibrations/<hash>/` | the current one, those of versions that stay | unused for a day |
| `vectors/<hash>/` | the current ones: a version, once built, needs none | unused for a day |
| `queries/<run>/` | while anything in it is younger than `keep_days` | at once |
| `uploads/` | photos that an answer that stays names | a day old |
| `spark-events/` | for `keep_days`, finished or not | at once |
| `.tmp-*`, left by killed steps | while anything in it is younger than a day | at once |

The same holds for `.tmp-lookalike-*` in the temporary folder (`/tmp`), where killed steps leave Spark's
files.

**Nothing else is ever touched**: the inbox, `sources/`, the files in `catalog/` itself, embeddings (old
models' too), the resized copies, other files, links among versions, catalogs, vectors and calibrations.
Elsewhere a link is removed, never its target.

Code that reuses a version, catalog, vectors or calibration marks it as used first (`atomic.in_use`).
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.base import options
from jobs.base.atomic import remove
from jobs.base.command import run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.scratch import abandoned
from jobs.store.manifest import Manifest
from jobs.store.reading import readable
from jobs.store.root import CONTENT_NAME, CURRENT, DataRoot, read_pointer, safe_name
from jobs.store.vectors import Vectors
from jobs.store.versions import BUILT, Index, name_index

log = logging.getLogger(__name__)

DAY_S = 86_400
PHOTO = re.compile(r"[0-9a-f]{32}|uploaded-[0-9a-f]{12}\.jpg")
EVENT_LOG = re.compile(r"(eventlog_v2_)?(app|application|local|spark)[-_].+")

Going = Iterator[tuple[Path, int, str]]
"""What goes, its bytes and why. Each is checked again right before it is yielded, and removed at once."""


def housekeep(
    root: DataRoot,
    *,
    keep_versions: int = options.KEEP_VERSIONS.default,
    keep_days: int = options.KEEP_DAYS.default,
    dry_run: bool = options.DRY_RUN.default,
) -> dict[str, int]:
    """Apply the rule above; return how many of each kind were removed, and ``bytes``.

    ``dry_run``: only log what would be removed. Raises LookalikeError, having removed the rest, if
    something can't be removed or read.
    """
    options.check_option(options.KEEP_VERSIONS, keep_versions)
    options.check_option(options.KEEP_DAYS, keep_days)
    now, gone = time.time(), set[Path]()
    day, long = now - DAY_S, now - keep_days * DAY_S
    days = f"older than {keep_days} days"
    rules: dict[str, Going] = {
        "versions": _versions(root, keep_versions, day),
        "vectors": _vectors(root, day),
        "calibrations": _calibrations(root, gone, day),
        "catalogs": _catalogs(root, gone, day),
        "queries": _older(_answers(root), long, days),
        "uploads": _older(_unnamed_photos(root, gone), day, "no answer names it"),
        "event_logs": _older(_event_logs(root), long, days),
        "leftovers": _older(_leftovers(root), day, "left by a killed step"),
    }
    counts, problems = dict.fromkeys([*rules, "bytes"], 0), list[str]()
    for kind, going in rules.items():
        with _noted(problems):
            for path, size, why in going:
                with _noted(problems):
                    if not dry_run:
                        remove(path)
                    gone.add(path)
                    counts[kind] += 1
                    counts["bytes"] += size
                    shown = path.relative_to(root.root) if path.is_relative_to(root.root) else path
                    _say(dry_run, f"{shown}: {why}", size)
    kinds = [f"{counts[kind]:,} {kind.replace('_', ' ')}" for kind in rules if counts[kind]]
    _say(dry_run, ", ".join(kinds) or "nothing", counts["bytes"])
    for problem in problems:
        log.warning(problem)
    if problems:
        more = f" The log lists {len(problems) - 1:,} more." if problems[1:] else ""
        raise LookalikeError(problems[0] + more)
    return counts


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """An error keeps nothing else from being removed."""
    try:
        yield
    except LookalikeError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{error.filename} can't be read ({error.strerror}): grant permission to read it.")


def _say(dry_run: bool, what: str, size: int) -> None:
    log.info(f"{'would remove' if dry_run else 'removed'} {what}, {size / 1e6:,.1f} MB")


def _versions(root: DataRoot, keep: int, since: float) -> Going:
    published = {folder.name: Index(folder).published() for folder in _hashes(root.index)}
    newest = sorted((record["at"], version) for version, record in published.items() if record)[-keep:]

    def kept() -> set[str]:
        pointers = [name for name in (BUILT, CURRENT) if (root.index / name).exists()]
        return {version for _, version in newest} | {name_index(root, name).version for name in pointers}

    for folder, size in _unused(root.index, kept, since):
        yield folder, size, "superseded" if published.get(folder.name) else "never published"


def _vectors(root: DataRoot, since: float) -> Going:
    for folder, size in _unused(root.vectors, lambda: _pointed_to(root.vectors), since):
        yield folder, size, "not current"


def _calibrations(root: DataRoot, gone: set[Path], since: float) -> Going:
    used = {manifest["calibration"] for manifest in _manifests(root, gone)}
    for folder, size in _unused(root.calibrations, lambda: used | _pointed_to(root.calibrations), since):
        yield folder, size, "no version uses it"


def _catalogs(root: DataRoot, gone: set[Path], since: float) -> Going:
    used = {manifest["catalog"] for manifest in _manifests(root, gone)}
    for folder in set(_hashes(root.vectors)) - gone:
        with suppress(LookalikeError):
            used.add(Vectors(folder).description()["catalog"])
    for folder, size in _unused(root.catalog, lambda: used | _pointed_to(root.catalog), since):
        yield folder, size, "no version uses it"


def _manifests(root: DataRoot, gone: set[Path]) -> Iterator[Manifest]:
    """Of the versions that stay; one without a readable manifest can't be searched."""
    for version in set(_hashes(root.index)) - gone:
        with suppress(LookalikeError):
            yield Index(version).manifest()


def _pointed_to(folder: Path) -> set[str]:
    """What the pointer names. Raises LookalikeError if that is no name: then nothing there is removed."""
    name = read_pointer(folder / CURRENT)
    return {name} if name else set()


def _hashes(folder: Path) -> list[Path]:
    """The entries of ``folder`` that are named by their content."""
    return [entry for entry in _entries(folder) if CONTENT_NAME.fullmatch(entry.name)]


def _unused(folder: Path, kept: Callable[[], set[str]], since: float) -> Iterator[tuple[Path, int]]:
    """Folders (no links) named by their content, neither kept nor recently used, with their bytes."""
    for entry in _hashes(folder):
        if entry.is_dir() and not entry.is_symlink():
            _, size = _look(entry)  # slow, so it comes before the checks of what may change meanwhile
            if entry.name not in kept() and entry.stat().st_mtime < since:
                yield entry, size


def _answers(root: DataRoot) -> list[Path]:
    return [
        entry for entry in _entries(root.queries) if entry.name == safe_name(entry.name) and entry.is_dir()
    ]


def _unnamed_photos(root: DataRoot, gone: set[Path]) -> Iterator[Path]:
    named = {_query_picture(answer / "neighbours.json") for answer in _answers(root) if answer not in gone}
    for entry in _entries(root.uploads):
        if PHOTO.fullmatch(entry.name) and entry.name not in named:
            yield entry


def _query_picture(answer: Path) -> str | None:
    """The file name of an answer's query picture; the names of photos are unique."""
    if not answer.exists():
        return None
    with readable(answer, "delete the folder of that answer; until then all photos are kept"):
        return Path(json.loads(answer.read_text(encoding="utf-8"))["query"]["path"]).name


def _event_logs(root: DataRoot) -> Iterator[Path]:
    return (entry for entry in _entries(root.spark_events) if EVENT_LOG.fullmatch(entry.name))


def _leftovers(root: DataRoot) -> Iterator[Path]:
    yield from abandoned()
    # Of the resized copies, which may be a million, only the folders in which they are written.
    yield from root.resized.glob(".tmp-*")
    written = (root.catalog, root.embeddings, root.vectors, root.calibrations, root.index, root.uploads)
    for top in (*written, root.queries, root.sources, root.spark_events):
        for folder, folders, files in os.walk(top):
            left = [name for name in (*folders, *files) if name.startswith(".tmp-")]
            folders[:] = [name for name in folders if not name.startswith(".tmp-")]
            yield from (Path(folder, name) for name in left)


def _older(paths: Iterable[Path], since: float, why: str) -> Going:
    for path in paths:
        newest, size = _look(path)
        if newest < since:
            yield path, size, why


def _look(path: Path) -> tuple[float, int]:
    """When it or anything in it was last written to, and the bytes of all; links are not followed."""
    newest, size = -math.inf, 0
    for entry in (path, *_inside(path)):
        with suppress(FileNotFoundError):
            status = entry.lstat()
            newest = max(newest, status.st_mtime)
            size += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return newest, size


def _inside(path: Path) -> Iterator[Path]:
    if not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder, name) for name in (*folders, *files))


def _entries(folder: Path) -> list[Path]:
    """The entries of ``folder``, sorted by name; none if it does not exist."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.housekeeping", __doc__, *options.HOUSEKEEPING_OPTIONS)

    def step(given: argparse.Namespace) -> dict[str, int]:
        return housekeep(
            DataRoot.from_env(),
            keep_versions=given.keep_versions,
            keep_days=given.keep_days,
            dry_run=given.dry_run,
        )

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
