"""Resize and embed every picture of the catalog: the DAG's task ``embed``."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

from jobs.base import options
from jobs.base.atomic import sweep
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.locks import one_at_a_time
from jobs.base.logs import Progress
from jobs.embedding.backbones import DEFAULT
from jobs.embedding.engine import Engine, embed_here
from jobs.embedding.model import Model
from jobs.embedding.shards import Picture
from jobs.embedding.weights import find_weights
from jobs.intake.given_up import worth_another_try
from jobs.store.catalog import Row, catalog_folder, check_quarantine, read_beside, read_catalog, write_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import CURRENT, DataRoot, copied

log = logging.getLogger(__name__)


def engine_of(name: str, runtime: str = options.RUNTIME.default, threads: int | None = None) -> Engine:
    """The engine ``local``, on ``threads`` cores or all of them, or ``spark``."""
    options.check_option(options.ENGINE, name)
    if name == "spark":
        # Only this engine needs PySpark, which takes a second to import.
        from jobs.spark.embedding import embed_on_spark

        return partial(embed_on_spark, runtime=runtime)
    return partial(embed_here, runtime=runtime, threads=threads)


def embed_catalog(
    root: DataRoot,
    model: Model,
    engine: Engine | None = None,
    *,
    max_quarantined: float = options.MAX_QUARANTINED.default,
    catalog: str = CURRENT,
) -> dict[str, Any]:
    """Embed the pictures of a catalog, by name or the last one, that the store lacks.

    Returns fingerprint, counts and the name of the catalog to go on with: a picture that turns out to be
    broken is quarantined with its reason, in another catalog. The default
    ``engine`` is this machine. An embedding does not depend on the pictures embedded with it, not even in
    its last bit, so an interrupted run ends with the same embeddings as an uninterrupted one. If another
    process embeds by the same model, this one waits for it first.

    Raises LookalikeError if more than ``max_quarantined`` of the files are quarantined, and
    what ``EmbeddingProcess.embed`` raises.
    """
    catalog = catalog_folder(root, catalog).name
    store = EmbeddingStore(root.embeddings / model.fingerprint)
    # Two at once would both embed what both lack, and the store would hold it twice.
    with one_at_a_time(store.folder):
        return _embed(root, model, store, engine, max_quarantined, catalog)


def _embed(
    root: DataRoot,
    model: Model,
    store: EmbeddingStore,
    engine: Engine | None,
    max_quarantined: float,
    catalog: str,
) -> dict[str, Any]:
    scratch = root.resized_scratch(model.fingerprint)
    rows = read_catalog(root, catalog)
    sweep(store.folder)
    shutil.rmtree(scratch, ignore_errors=True)
    store.describe(model.description)
    copies: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["status"] == "ok":
            copies[row["id"]].append(row)
    done = store.ids()
    broken = {
        id_: reason
        for id_, reason in store.broken().items()
        if id_ not in done and not worth_another_try(reason)
    }
    pending = sorted(copies.keys() - done - broken.keys())
    lacking = sorted((copies.keys() & done) - copied(root, model.resized))
    side = model.backbone.side
    log.info(
        f"{len(copies):,} pictures, {len(pending):,} to embed with {model.weights.name} weights, "
        f"{model.geometry} to {side} x {side}, {model.precision}: embeddings {model.fingerprint}"
    )
    if lacking:
        log.info(f"{len(lacking):,} embedded pictures have lost their resized copies, which are made again")
    embedded = 0
    if pending or lacking:
        engine = engine or engine_of(options.ENGINE.default)
        pictures = [
            Picture(id_, tuple(row["path"] for row in copies[id_]), embedded=id_ in done)
            for id_ in (*pending, *lacking)
        ]
        progress = Progress(len(pictures), "pictures", log)
        by_path = {row["path"]: row for picture in pictures for row in copies[picture.id]}
        for outcome in engine(pictures, root, model, progress):
            embedded += outcome.embedded
            broken |= outcome.broken
            for path, reason in outcome.lost.items():
                _quarantine(by_path[path], reason)
                # Without an id, the next catalog reads the file again.
                by_path[path]["id"] = None
        progress.finish()
        shutil.rmtree(scratch, ignore_errors=True)
    for id_ in broken.keys() & copies.keys():
        for row in copies[id_]:
            _quarantine(row, broken[id_])
    if any(row["status"] == "quarantined" for files in copies.values() for row in files):
        catalog = write_catalog(rows, root, _counted_again(read_beside(root, catalog), rows))
    check_quarantine(rows, root, max_quarantined)
    if store.write_csv():
        log.info(f"wrote {store.csv}")
    counts = {
        "embedded": embedded,
        "kept": len(copies.keys() & done),
        "quarantined": sum(row["status"] == "quarantined" for row in rows),
    }
    log.info(f"{store.folder}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    described = {"catalog": catalog, "fingerprint": model.fingerprint, "weights": model.weights.name}
    return {**described, **counts}


def _counted_again(beside: dict[str, bytes], rows: list[Row]) -> dict[str, bytes]:
    counts = json.loads(beside["counts.json"])
    counts["quarantined"] = sum(row["status"] == "quarantined" for row in rows)
    return {**beside, "counts.json": (json.dumps(counts, indent=2, ensure_ascii=False) + "\n").encode()}


def _quarantine(row: Row, reason: str) -> None:
    row.update(status="quarantined", reason=reason)
    log.warning(f"quarantined {row['path']!r}: {reason}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser(
        "python -m jobs.embed",
        __doc__,
        options.WEIGHTS,
        options.GEOMETRY,
        options.PRECISION,
        options.RUNTIME,
        options.ENGINE,
        options.MAX_QUARANTINED,
    )
    parser.add_argument("--threads", type=int, help="cores that the engine local uses; default: all")
    add_name(parser, "--catalog", "the catalog", CURRENT)

    def step(given: argparse.Namespace) -> dict[str, Any]:
        weights = find_weights(given.weights, DEFAULT)
        model = Model(DEFAULT, weights, given.geometry, given.precision)
        engine = engine_of(given.engine, given.runtime, given.threads)
        return embed_catalog(
            DataRoot.from_env(),
            model,
            engine,
            max_quarantined=given.max_quarantined,
            catalog=given.catalog,
        )

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
