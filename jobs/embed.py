"""Resize and embed every picture of the catalog: the DAG's task ``embed``."""

from __future__ import annotations

import argparse
import io
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jobs.atomic import staged_file, sweep
from jobs.catalog import (
    DEFAULT_MAX_QUARANTINED,
    Row,
    check_quarantine,
    read_catalog,
    write_catalog,
)
from jobs.embedder import DEFAULT_GEOMETRY, GEOMETRIES, ImageEmbedder
from jobs.embeddings import DIMENSION, EmbeddingStore
from jobs.logs import Progress, run_step
from jobs.paths import DataRoot, resized_file
from jobs.pictures import BadPictureError, load_rgb
from jobs.scan import content_id
from jobs.weights import load_weights

log = logging.getLogger(__name__)

SHARD = 512
"""Pictures a shard: what a killed run loses at most."""
BATCH = 32
RESIZED_QUALITY = 90


def embed_catalog(
    root: DataRoot,
    embedder: ImageEmbedder,
    *,
    max_quarantined: float = DEFAULT_MAX_QUARANTINED,
) -> dict[str, Any]:
    """Embed what the catalog holds and the store does not; return fingerprint and counts.

    A picture that turns out broken is quarantined in the catalog with its reason.
    Shards hold the same pictures in the same batches whether or not a run was killed in
    between, so the embeddings are the same to the bit.

    Raises LookalikeError where more than ``max_quarantined`` of the files are quarantined.
    """
    rows = read_catalog(root)
    store = EmbeddingStore(root.embeddings / embedder.fingerprint)
    sweep(store.folder)
    sweep(root.resized / embedder.geometry)
    store.describe(embedder.description)
    copies: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["status"] == "ok":
            copies[row["id"]].append(row)
    done = store.ids()
    broken = store.broken()
    pending = sorted(copies.keys() - done - broken.keys())
    log.info(
        f"{len(copies):,} pictures, {len(pending):,} to embed on {embedder.device.type} "
        f"with {embedder.weights.name} weights, {embedder.geometry} to 224 x 224"
    )
    progress = Progress(len(pending), "pictures", log)
    embedded = 0
    for start in range(0, len(pending), SHARD):
        shard = {id_: copies[id_] for id_ in pending[start : start + SHARD]}
        embedded += _embed_shard(shard, root, embedder, store, progress)
    progress.finish()
    broken = store.broken()
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
    return {"fingerprint": embedder.fingerprint, "weights": embedder.weights.name, **counts}


def _embed_shard(
    shard: Mapping[str, Sequence[Row]],
    root: DataRoot,
    embedder: ImageEmbedder,
    store: EmbeddingStore,
    progress: Progress,
) -> int:
    """Embed and store the pictures of ``shard`` (id -> the rows of its files); return how many."""
    ids: list[str] = []
    vectors = [np.empty((0, DIMENSION), np.float32)]
    broken: dict[str, str] = {}
    resized = _resized(shard, root, embedder, broken, progress)
    while batch := list(islice(resized, BATCH)):
        ids += [id_ for id_, _ in batch]
        vectors.append(embedder.embed_resized([image for _, image in batch]))
    if ids or broken:
        store.write(ids, np.concatenate(vectors), broken)
    return len(ids)


def _resized(
    shard: Mapping[str, Sequence[Row]],
    root: DataRoot,
    embedder: ImageEmbedder,
    broken: dict[str, str],
    progress: Progress,
) -> Iterator[tuple[str, Image.Image]]:
    """Yield id and 224 x 224 picture of each readable one, in order; decode ahead of the reader."""

    def resize(id_: str) -> Image.Image | None:
        content = _read(id_, shard[id_])
        if content is None:
            return None
        try:
            image = embedder.resize(load_rgb(io.BytesIO(content)))
        except BadPictureError as error:
            broken[id_] = str(error)
            return None
        target = resized_file(root, embedder.geometry, id_)
        with staged_file(target, sync=False) as staging:
            image.save(staging, "JPEG", quality=RESIZED_QUALITY)
        return image

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for id_, image in zip(shard, threads.map(resize, shard), strict=True):
            progress.advance()
            if image is not None:
                yield id_, image


def _read(id_: str, copies: Sequence[Row]) -> bytes | None:
    """The bytes of the first copy that still is what the catalog says; those before it are set aside."""
    for row in copies:
        try:
            content = Path(row["path"]).read_bytes()
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        else:
            if content_id(content) == id_:
                return content
            reason = "changed while it was taken in: run again"
        _quarantine(row, reason)
        # Without an id the next catalog looks at the file again.
        row["id"] = None
    return None


def _quarantine(row: Row, reason: str) -> None:
    row.update(status="quarantined", reason=reason)
    log.warning(f"quarantined {row['path']!r}: {reason}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.embed", description=__doc__)
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or the path of a state dict")
    parser.add_argument("--geometry", choices=sorted(GEOMETRIES), default=DEFAULT_GEOMETRY)
    parser.add_argument("--max-quarantined", type=float, default=DEFAULT_MAX_QUARANTINED)

    def step(options: argparse.Namespace) -> None:
        embedder = ImageEmbedder(load_weights(options.weights), geometry=options.geometry)
        embed_catalog(DataRoot.from_env(), embedder, max_quarantined=options.max_quarantined)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
