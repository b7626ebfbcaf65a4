"""Remove what nobody needs any more from the data root: the DAG's task ``housekeeping``.

* ``index/<version>``: stay the published one, the one built last and the ``keep_versions`` published
  last; others go once unused for a day, be they superseded or never published.
* ``vectors/<hash>``, ``calibrations/<hash>``: stay the current one and the calibrations of the versions
  that stay; others go once unused for a day. A version needs no vectors once it is built.
* ``queries/<run>``: goes once nothing in it is younger than ``keep_days``.
* ``uploads/``: a photo goes once it is a day old and no answer that stays names it.
* ``spark-events/``: a log goes ``keep_days`` after it was written to last, finished or not.
* ``.tmp-*``, what killed steps left, goes once nothing in it is younger than a day.

Whatever is not named here is never touched: inbox, sources, catalog, embeddings, 224 x 224 copies, files
of others, and links among versions, vectors and calibrations. Elsewhere a link goes, never what it leads to.

Whoever takes up a version, vectors or a calibration again marks it as used first (``atomic.in_use``).
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

from jobs.base.atomic import remove
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step
from jobs.store.root import DataRoot, safe_name
from jobs.store.versions import BUILT, CURRENT, VERSION, Index, name_index

log = logging.getLogger(__name__)

KEEP_VERSIONS, KEEP_DAYS = 3, 30
DAY_S = 86_400
PHOTO = re.compile(r"uploaded-[0-9a-f]{12}\.jpg")
EVENT_LOG = re.compile(r"(eventlog_v2_)?(app|application|local|spark)[-_].+")

Going = Iterator[tuple[Path, int, str]]
"""What goes, its bytes and why. It is looked at again right before it is told, and removed at once."""


def housekeep(
    root: DataRoot, *, keep_versions: int = KEEP_VERSIONS, keep_days: int = KEEP_DAYS, dry_run: bool = False
) -> dict[str, int]:
    """Remove what the rule above lets go; return how much of each kind, and ``bytes``.

    ``dry_run``: only say what would go. Raises LookalikeError, having removed the rest, where
    something can't be removed or read.
    """
    for name, value in (("keep_versions", keep_versions), ("keep_days", keep_days)):
        if value < 1:
            raise LookalikeError(f"{name} is {value}: give 1 or more.")
    now, gone = time.time(), set[Path]()
    day, long = now - DAY_S, now - keep_days * DAY_S
    days = f"older than {keep_days} days"
    rules: dict[str, Going] = {
        "versions": _versions(root, keep_versions, day),
        "vectors": _vectors(root, day),
        "calibrations": _calibrations(root, gone, day),
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
                    _say(dry_run, f"{path.relative_to(root.root)}: {why}", size)
    kinds = [f"{counts[kind]:,} {kind.replace('_', ' ')}" for kind in rules if counts[kind]]
    _say(dry_run, ", ".join(kinds) or "nothing", counts["bytes"])
    for problem in problems:
        log.warning(problem)
    if problems:
        more = f" So it is with {len(problems) - 1:,} more, told in the log." if problems[1:] else ""
        raise LookalikeError(problems[0] + more)
    return counts


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """What goes wrong keeps nothing else from being removed."""
    try:
        yield
    except LookalikeError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{error.filename} can't be read ({error.strerror}): give leave to read it.")


def _say(dry_run: bool, what: str, size: int) -> None:
    log.info(f"{'would remove' if dry_run else 'removed'} {what}, {size / 1e6:,.1f} MB")


def _versions(root: DataRoot, keep: int, since: float) -> Going:
    at = {folder.name: Index(folder).published().get("at") for folder in _hashes(root.index)}
    newest = sorted((told, version) for version, told in at.items() if told)[-keep:]

    def kept() -> set[str]:
        pointers = [name for name in (BUILT, CURRENT) if (root.index / name).exists()]
        return {version for _, version in newest} | {name_index(root, name).version for name in pointers}

    for folder, size in _unused(root.index, kept, since):
        yield folder, size, "superseded" if at.get(folder.name) else "never published"


def _vectors(root: DataRoot, since: float) -> Going:
    def kept() -> set[str]:
        current = root.vectors / "current"
        return {current.read_text(encoding="utf-8").strip()} if current.exists() else set()

    for folder, size in _unused(root.vectors, kept, since):
        yield folder, size, "not current"


def _calibrations(root: DataRoot, gone: set[Path], since: float) -> Going:
    used = set[str]()
    for version in set(_hashes(root.index)) - gone:
        with suppress(LookalikeError):  # nobody can search a version without a manifest
            used.add(Index(version).manifest()["calibration"])

    def kept() -> set[str]:
        current = root.calibrations / "current.json"
        if not current.exists():
            return used
        try:
            return used | {json.loads(current.read_text(encoding="utf-8"))["calibration"]}
        except ValueError as error:
            raise LookalikeError(f"{current} is spoilt ({error}): delete it and calibrate again.") from error

    for folder, size in _unused(root.calibrations, kept, since):
        yield folder, size, "no version uses it"


def _hashes(folder: Path) -> list[Path]:
    """What is named by its content there."""
    return [entry for entry in _entries(folder) if VERSION.fullmatch(entry.name)]


def _unused(folder: Path, kept: Callable[[], set[str]], since: float) -> Iterator[tuple[Path, int]]:
    """Real folders named by their content, with their bytes, that are not kept nor were used lately."""
    for entry in _hashes(folder):
        if entry.is_dir() and not entry.is_symlink():
            _, size = _look(entry)  # which takes a while, so before what may change meanwhile
            if entry.name not in kept() and entry.stat().st_mtime < since:
                yield entry, size


def _answers(root: DataRoot) -> list[Path]:
    return [
        entry for entry in _entries(root.queries) if entry.name == safe_name(entry.name) and entry.is_dir()
    ]


def _unnamed_photos(root: DataRoot, gone: set[Path]) -> Iterator[Path]:
    named = {_asked_about(answer / "neighbours.json") for answer in _answers(root) if answer not in gone}
    for entry in _entries(root.uploads):
        if PHOTO.fullmatch(entry.name) and entry.name not in named:
            yield entry


def _asked_about(answer: Path) -> str | None:
    """The file name of the picture that was asked about; names of photos are unique."""
    try:
        return Path(json.loads(answer.read_text(encoding="utf-8"))["query"]["path"]).name
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LookalikeError(
            f"{answer} names no picture, so photos are kept: delete the folder of that answer."
        ) from error


def _event_logs(root: DataRoot) -> Iterator[Path]:
    return (entry for entry in _entries(root.spark_events) if EVENT_LOG.fullmatch(entry.name))


def _leftovers(root: DataRoot) -> Iterator[Path]:
    # Of the resized pictures, which may be a million, only the place where they are written.
    written = (root.catalog, root.embeddings, root.vectors, root.calibrations, root.index, root.uploads)
    for top in (*written, root.queries, root.sources, root.spark_events, root.resized_scratch):
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
    """When the newest of it and what is in it was written to, and the bytes of all; no link is followed."""
    newest, size = -math.inf, 0
    for one in (path, *_inside(path)):
        with suppress(FileNotFoundError):
            seen = one.lstat()
            newest = max(newest, seen.st_mtime)
            size += 0 if stat.S_ISDIR(seen.st_mode) else seen.st_size
    return newest, size


def _inside(path: Path) -> Iterator[Path]:
    if not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder, name) for name in (*folders, *files))


def _entries(folder: Path) -> list[Path]:
    """What lies there, by name; nothing where the folder is not there."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.housekeeping",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--keep-versions", type=int, default=KEEP_VERSIONS, help="published versions that stay"
    )
    parser.add_argument("--keep-days", type=int, default=KEEP_DAYS, help="for answers and Spark's event logs")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def step(options: argparse.Namespace) -> None:
        housekeep(
            DataRoot.from_env(),
            keep_versions=options.keep_versions,
            keep_days=options.keep_days,
            dry_run=options.dry_run,
        )

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
