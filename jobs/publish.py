"""Make an index version the one that queries use, if it reaches its recall: the DAG's task ``publish``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.store.gallery import check_gallery
from jobs.store.neighbours import check_neighbours
from jobs.store.reports import check_report
from jobs.store.root import CURRENT, DataRoot
from jobs.store.settings import Settings, write_settings
from jobs.store.versions import BUILT, Index, open_index, point_to_index

log = logging.getLogger(__name__)


def publish(
    root: DataRoot, version: str = BUILT, *, run: str | None = None, settings: Settings | None = None
) -> Index:
    """Name a version in ``index/current``, in one step.

    ``run`` is the run that made it, ``settings`` are its params and splits: they are kept, so that later
    scheduled runs repeat and compare with them. A version that is restored keeps its run.

    Raises LookalikeError, and leaves the published version, if this one is corrupt, its measured
    recall is below its target, or its neighbours, gallery or report are missing.
    """
    index = open_index(root, version)
    index.verify(content=True)
    manifest = index.manifest()
    recall = manifest["recall"]
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
    for check in (check_neighbours, check_gallery, check_report):
        check(index)
    if run or not index.published_file.exists():
        at = datetime.now(UTC).isoformat(timespec="seconds")
        index.record_published({"run": run, "at": at})
    if settings is not None:
        write_settings(root, settings)
    point_to_index(root, CURRENT, index)
    log.info(f"published index {index.version}: {manifest['images']:,} pictures")
    return index


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.publish", __doc__)
    add_name(parser, "--index-version", "the index version", BUILT, CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        return {"index_version": publish(DataRoot.from_env(), given.index_version).version}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
