"""Find, draw or download the pictures and their labels: the DAG's task ``sources``."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.intake.folder import LABEL_RULES, folder
from jobs.intake.sample import VERSION, draw_sample
from jobs.intake.source import Source
from jobs.intake.stanford_cars import stanford_cars
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)

SOURCES = ("sample", "stanford_cars", "folder", "inbox")
INBOX = "inbox"


def find_source(
    name: str,
    root: DataRoot,
    *,
    directory: str | None = None,
    label_rule: str = "auto",
    with_test: bool = False,
    sample_seed: int = 0,
) -> Source:
    """Return the source ``name``, drawn or downloaded first where it is not there yet.

    The inbox joins every source as a split of its own; ``inbox`` is that alone.

    Raises LookalikeError where it can't be had, UnreachableError where trying later may help.
    """
    with section(f"source {name}"):
        if name == "sample":
            source = draw_sample(root.sources.absolute() / f"sample-{VERSION}-{sample_seed}", sample_seed)
        elif name == "stanford_cars":
            source = stanford_cars(root, with_test=with_test)
        elif name == "folder":
            if not directory:
                raise LookalikeError("source folder needs a folder: say where your pictures are.")
            source = folder(Path(directory), label_rule)
        elif name == INBOX:
            if not root.inbox.is_dir():
                raise LookalikeError(f"{root.inbox} is no folder: make it and put pictures there.")
            source = Source(INBOX, ())
        else:
            raise LookalikeError(f"source {name!r} is unknown: choose one of {', '.join(SOURCES)}.")
        if root.inbox.is_dir():
            landed = replace(folder(root.inbox).splits[0], name=INBOX)
            source = replace(source, splits=(*source.splits, landed))
        for split in source.splits:
            labels = split.labels or split.label_rule.replace("_", " ")
            log.info(f"split {split.name}: pictures in {split.pictures}, labels: {labels}")
    return source


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.sources", description=__doc__)
    parser.add_argument("--source", choices=SOURCES, default="sample")
    parser.add_argument("--folder", help="your own folder of pictures, for --source folder")
    parser.add_argument("--label-rule", choices=LABEL_RULES, default="auto")
    parser.add_argument("--with-test", action="store_true", help="take in the unlabelled test split")
    parser.add_argument("--sample-seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the source's description here as JSON")

    def step(options: argparse.Namespace) -> None:
        source = find_source(
            options.source,
            DataRoot.from_env(),
            directory=options.folder,
            label_rule=options.label_rule,
            with_test=options.with_test,
            sample_seed=options.sample_seed,
        )
        text = json.dumps(source.to_dict(), indent=2, ensure_ascii=False)
        if not options.output:
            print(text)
            return
        try:
            options.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LookalikeError(
                f"{options.output} cannot be written ({error.strerror}): name another file."
            ) from error

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
