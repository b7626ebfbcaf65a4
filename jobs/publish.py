"""Make the index that was built the one that queries ask, if it reaches its recall: the DAG's task
``publish``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from jobs.atomic import write_text
from jobs.errors import LookalikeError
from jobs.logs import run_step
from jobs.manifest import BUILT, CURRENT, Index, open_index
from jobs.paths import DataRoot

log = logging.getLogger(__name__)


def publish(root: DataRoot, version: str = BUILT) -> Index:
    """Name a version in ``index/current``, in one step.

    Raises LookalikeError, and leaves what was published, where the version is spoilt, its measured
    recall misses its target, or its neighbours or its report were not made.
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
    for made, step in ((index.neighbours, "neighbours"), (index.report_file, "report")):
        if not made.exists():
            raise LookalikeError(f"{made} is missing: run the step {step} first.")
    write_text(root.index / CURRENT, index.version + "\n")
    log.info(f"published index {index.version}: {index.manifest()['images']:,} pictures")
    return index


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.publish", description=__doc__)
    parser.add_argument("--index-version", default=BUILT, help="a version, or built: the last one")

    def step(options: argparse.Namespace) -> None:
        publish(DataRoot.from_env(), options.index_version)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
