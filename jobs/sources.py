"""Find, draw or download the pictures and their labels: the DAG's task ``sources``."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.base import options
from jobs.base.command import run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.base.text import path_of
from jobs.intake.folder import folder
from jobs.intake.named import named_path
from jobs.intake.sample import VERSION, draw_sample
from jobs.intake.source import INBOX, Source
from jobs.intake.stanford_cars import stanford_cars
from jobs.store.root import DataRoot
from jobs.store.settings import published_settings

log = logging.getLogger(__name__)


def find_source(
    name: str,
    root: DataRoot,
    *,
    directory: str | None = None,
    label_rule: str = "auto",
    with_test: bool = False,
    sample_seed: int = 0,
) -> Source:
    """Return the source ``name``; it is drawn or downloaded first if it is not there yet.

    The inbox is added to every source as a split of its own; the source ``inbox`` is only that.

    Raises LookalikeError if there is no such source, UnreachableError if running later may help.
    """
    options.check_option(options.SOURCE, name)
    options.check_option(options.LABEL_RULE, label_rule)
    with section(f"source {name}"):
        if name == "sample":
            source = draw_sample(root.sources.absolute() / f"sample-{VERSION}-{sample_seed}", sample_seed)
        elif name == "stanford_cars":
            source = stanford_cars(root, with_test=with_test)
        elif name == "folder":
            if not directory:
                raise LookalikeError(
                    "source folder needs a folder: give the folder that holds your pictures."
                )
            named = named_path(directory, root)
            if any(named.resolve().is_relative_to(made) for made in root.made):
                raise LookalikeError(
                    f"{named} holds what Lookalike made itself: give the folder that holds your pictures."
                )
            source = folder(named, label_rule)
        else:
            if not root.inbox.is_dir():
                raise LookalikeError(f"{root.inbox} is not a folder: create it and put pictures there.")
            source = Source(INBOX, ())
        if root.inbox.is_dir():
            landed = replace(folder(root.inbox).splits[0], name=INBOX)
            source = replace(source, splits=(*source.splits, landed))
        for split in source.splits:
            labels = split.labels or split.label_rule.replace("_", " ")
            log.info(f"split {split.name}: pictures in {split.pictures}, labels: {labels}")
    return source


def replaces_another(root: DataRoot, params: Mapping[str, Any]) -> bool:
    """Whether a run of ``params`` would publish over an index of another source.

    Raises LookalikeError if it would and ``params`` don't say ``replace``. The sample can be drawn again, and
    every run takes the inbox in, so these two may be replaced.
    """
    try:
        published = published_settings(root)
    except LookalikeError as error:
        log.warning(f"the source of the published index is not known: {error}")
        return False
    if published is None or _of(published["params"]) == _of(params):
        return False
    if published["params"].get("source") not in ("sample", INBOX) and not params["replace"]:
        raise LookalikeError(
            f"the published index is of {_of(published['params'])}, and this run is of {_of(params)}: set "
            f"{options.REPLACE.name} to publish over it, or LOOKALIKE_DATA to another folder to have both."
        )
    return True


def _of(params: Mapping[str, Any]) -> str:
    source, directory = params.get("source"), params.get("folder")
    return f"the folder {path_of(directory)}" if source == "folder" and directory else f"the source {source}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser(
        "python -m jobs.sources",
        __doc__,
        options.SOURCE,
        options.FOLDER,
        options.LABEL_RULE,
        options.WITH_TEST,
        options.REPLACE,
    )
    parser.add_argument("--sample-seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the source's description here as JSON")

    def step(given: argparse.Namespace) -> dict[str, Any]:
        root = DataRoot.from_env()
        replaces_another(root, vars(given))
        source = find_source(
            given.source,
            root,
            directory=given.folder,
            label_rule=given.label_rule,
            with_test=given.with_test,
            sample_seed=given.sample_seed,
        ).to_dict()
        text = json.dumps(source, indent=2, ensure_ascii=False)
        if not given.output:
            print(text)
            return source
        try:
            given.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LookalikeError(
                f"{given.output} cannot be written ({error.strerror}): name another file."
            ) from error
        return source

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
