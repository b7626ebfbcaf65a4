"""Make the index that was built the one that queries ask, if it reaches its recall: the DAG's task
``publish``."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.base.atomic import write_json, write_text
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, CURRENT, Index, open_index

log = logging.getLogger(__name__)


SETTINGS = "settings.json"


def publish(
    root: DataRoot, version: str = BUILT, *, run: str | None = None, settings: dict[str, Any] | None = None
) -> Index:
    """Name a version in ``index/current``, in one step.

    ``run`` is the run that made it, ``settings`` are what that run was asked for: kept, so that
    pictures that land later are taken in the same way. A version that is put back keeps its run.

    Raises LookalikeError, and leaves what was published, where the version is spoilt, its measured
    recall misses its target, or its neighbours, gallery or report were not made.
    """
    index = open_index(root, version)
    index.verify(content=True)
    recall = index.manifest()["recall"]
    if recall["lower_bound"] < recall["target"]:
        raise LookalikeError(
            f"index {index.version} finds {recall['measured']:.3f} of the {recall['k']} nearest neighbours "
            f"(at least {recall['lower_bound']:.3f}), below the target {recall['target']}, and is not "
            "published: lower the target, or leave bucket length, tables and candidates to the calibration."
        )
    steps = {"neighbours": index.neighbours, "gallery": index.gallery_file, "report": index.report_file}
    for step, made in steps.items():
        if not made.exists():
            raise LookalikeError(f"{made} is missing: run the step {step} first.")
    if run or not index.published_file.exists():
        at = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(index.published_file, {"run": run, "at": at})
    if settings is not None:
        write_json(root.index / SETTINGS, settings)
    write_text(root.index / CURRENT, index.version + "\n")
    log.info(f"published index {index.version}: {index.manifest()['images']:,} pictures")
    return index


def published_settings(root: DataRoot) -> dict[str, Any] | None:
    """What the run that published last was asked for; None where none has."""
    try:
        text = (root.index / SETTINGS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    settings: dict[str, Any] = json.loads(text)
    return settings


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.publish", description=__doc__)
    parser.add_argument("--index-version", default=BUILT, help="a version, or built: the last one")

    def step(options: argparse.Namespace) -> None:
        publish(DataRoot.from_env(), options.index_version)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
