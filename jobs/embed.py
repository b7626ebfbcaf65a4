"""Resize and embed every picture of the catalog: the DAG's task ``embed``."""

from __future__ import annotations

import argparse
import logging
import shutil
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jobs.base.atomic import sweep
from jobs.base.logs import Progress, run_step
from jobs.embedding.model import GEOMETRIES, PRECISIONS, RUNTIMES, Model
from jobs.embedding.shards import Picture
from jobs.embedding.weights import find_weights
from jobs.spark.engines import ENGINES, Engine, engine_of
from jobs.store.catalog import DEFAULT_MAX_QUARANTINED, Row, check_quarantine, read_catalog, write_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)


def embed_catalog(
    root: DataRoot,
    model: Model,
    engine: Engine | None = None,
    *,
    max_quarantined: float = DEFAULT_MAX_QUARANTINED,
) -> dict[str, Any]:
    """Embed what the catalog holds and the store does not; return fingerprint and counts.

    ``engine`` is this machine unless another is given. A picture that turns out broken is
    quarantined in the catalog with its reason. An embedding is the same to the bit whatever
    pictures are embedded beside it, so a run that was killed and one that was not end in the same.

    Raises LookalikeError where more than ``max_quarantined`` of the files are quarantined, and
    what ``EmbeddingProcess.embed`` raises.
    """
    rows = read_catalog(root)
    store = EmbeddingStore(root.embeddings / model.fingerprint)
    sweep(store.folder)
    shutil.rmtree(root.resized_scratch, ignore_errors=True)
    store.describe(model.description)
    copies: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["status"] == "ok":
            copies[row["id"]].append(row)
    done = store.ids()
    broken = store.broken()
    pending = sorted(copies.keys() - done - broken.keys())
    log.info(
        f"{len(copies):,} pictures, {len(pending):,} to embed with {model.weights.name} weights, "
        f"{model.geometry} to 224 x 224, {model.precision}: embeddings {model.fingerprint}"
    )
    embedded = 0
    if pending:
        engine = engine or engine_of("local")
        progress = Progress(len(pending), "pictures", log)
        pictures = [Picture(id_, tuple(row["path"] for row in copies[id_])) for id_ in pending]
        by_path = {row["path"]: row for id_ in pending for row in copies[id_]}
        for outcome in engine(pictures, root, model, progress):
            embedded += outcome.embedded
            broken |= outcome.broken
            for path, reason in outcome.lost.items():
                _quarantine(by_path[path], reason)
                # Without an id the next catalog looks at the file again.
                by_path[path]["id"] = None
        progress.finish()
        shutil.rmtree(root.resized_scratch, ignore_errors=True)
    for id_ in broken.keys() & copies.keys():
        for row in copies[id_]:
            _quarantine(row, broken[id_])
    if any(row["status"] == "quarantined" for files in copies.values() for row in files):
        write_catalog(rows, root)
    check_quarantine(rows, root, max_quarantined)
    if store.write_csv():
        log.info(f"wrote {store.csv}")
    counts = {
        "embedded": embedded,
        "kept": len(copies.keys() & done),
        "quarantined": sum(row["status"] == "quarantined" for row in rows),
    }
    log.info(f"{store.folder}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return {"fingerprint": model.fingerprint, "weights": model.weights.name, **counts}


def _quarantine(row: Row, reason: str) -> None:
    row.update(status="quarantined", reason=reason)
    log.warning(f"quarantined {row['path']!r}: {reason}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.embed", description=__doc__)
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or the path of a state dict")
    parser.add_argument("--geometry", choices=GEOMETRIES, default=GEOMETRIES[0])
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    parser.add_argument("--runtime", choices=RUNTIMES, default=RUNTIMES[0])
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--threads", type=int, help="cores that the engine local uses; all if left out")
    parser.add_argument("--max-quarantined", type=float, default=DEFAULT_MAX_QUARANTINED)

    def step(options: argparse.Namespace) -> None:
        model = Model(find_weights(options.weights), options.geometry, options.precision)
        engine = engine_of(options.engine, options.runtime, options.threads)
        embed_catalog(DataRoot.from_env(), model, engine, max_quarantined=options.max_quarantined)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
