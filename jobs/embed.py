"""Resize and embed every picture of the catalog: the DAG's task ``embed``."""

from __future__ import annotations

import argparse
import io
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jobs.catalog import (
    DEFAULT_MAX_QUARANTINED,
    Row,
    check_quarantine,
    read_catalog,
    write_catalog,
)
from jobs.embedder import DEFAULT_GEOMETRY, GEOMETRIES, ImageEmbedder
from jobs.embeddings import EmbeddingStore
from jobs.logs import Progress, run_step, section
from jobs.paths import DataRoot, resized_file
from jobs.pictures import BadPictureError, load_rgb
from jobs.publish import staged_file
from jobs.scan import content_id
from jobs.weights import load_weights

log = logging.getLogger(__name__)

SHARD = 512
"""Pictures a shard: what a killed run loses at most."""
BATCH = 32
RESIZED_QUALITY = 90


@dataclass(frozen=True)
class Broken:
    """Why a picture could not be embedded; unless ``for_good``, the next run looks at it again."""

    reason: str
    for_good: bool


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
    store.describe(embedder.description)
    unique = {row["id"]: row for row in reversed(rows) if row["status"] == "ok"}
    done = store.ids()
    pending = [unique[id_] for id_ in sorted(unique.keys() - done)]
    log.info(
        f"{len(unique):,} pictures, {len(pending):,} to embed on {embedder.device.type} "
        f"with {embedder.weights.name} weights, {embedder.geometry} to 224 x 224"
    )
    broken: dict[str, Broken] = {}
    progress = Progress(len(pending), "pictures", log)
    for start in range(0, len(pending), SHARD):
        _embed_shard(pending[start : start + SHARD], root, embedder, store, broken, progress)
    progress.finish()
    if broken:
        _quarantine(rows, broken)
        write_catalog(rows, root)
    check_quarantine(rows, root, max_quarantined)
    with section("write CSV"):
        store.write_csv()
    quarantined = sum(row["status"] == "quarantined" for row in rows)
    counts = {
        "embedded": len(pending) - len(broken),
        "kept": len(unique) - len(pending),
        "quarantined": quarantined,
    }
    log.info(f"{store.folder}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return {"fingerprint": embedder.fingerprint, "weights": embedder.weights.name, **counts}


def _embed_shard(
    shard: Sequence[Row],
    root: DataRoot,
    embedder: ImageEmbedder,
    store: EmbeddingStore,
    broken: dict[str, Broken],
    progress: Progress,
) -> None:
    ids: list[str] = []
    vectors = []
    resized = _resized(shard, root, embedder, broken, progress)
    while batch := list(islice(resized, BATCH)):
        ids += [id_ for id_, _ in batch]
        vectors.append(embedder.embed_resized([image for _, image in batch]))
    if ids:
        store.write(ids, np.concatenate(vectors))


def _resized(
    shard: Sequence[Row],
    root: DataRoot,
    embedder: ImageEmbedder,
    broken: dict[str, Broken],
    progress: Progress,
) -> Iterator[tuple[str, Image.Image]]:
    """Yield id and 224 x 224 picture of each readable row, in order; decode ahead of the reader."""

    def resize(row: Row) -> Image.Image | Broken:
        try:
            content = Path(row["path"]).read_bytes()
        except OSError as error:
            return Broken(f"cannot be read: {error.strerror}", for_good=False)
        if content_id(content) != row["id"]:
            return Broken("changed while it was taken in: run again", for_good=False)
        try:
            image = embedder.resize(load_rgb(io.BytesIO(content)))
        except BadPictureError as error:
            return Broken(str(error), for_good=True)
        target = resized_file(root, embedder.geometry, row["id"])
        with staged_file(target, sync=False) as staging:
            image.save(staging, "JPEG", quality=RESIZED_QUALITY)
        return image

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for row, image in zip(shard, threads.map(resize, shard), strict=True):
            progress.advance()
            if isinstance(image, Broken):
                broken[row["id"]] = image
            else:
                yield row["id"], image


def _quarantine(rows: Sequence[Row], broken: dict[str, Broken]) -> None:
    for row in rows:
        if found := broken.get(row["id"]):
            row.update(status="quarantined", reason=found.reason)
            log.warning(f"quarantined {row['path']!r}: {found.reason}")
            if not found.for_good:
                row["id"] = None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.embed", description=__doc__)
    add_model_options(parser)
    parser.add_argument("--max-quarantined", type=float, default=DEFAULT_MAX_QUARANTINED)

    def step(options: argparse.Namespace) -> None:
        embedder = ImageEmbedder(load_weights(options.weights), geometry=options.geometry)
        embed_catalog(DataRoot.from_env(), embedder, max_quarantined=options.max_quarantined)

    return run_step(parser, step, argv)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or the path of a state dict")
    parser.add_argument("--geometry", choices=sorted(GEOMETRIES), default=DEFAULT_GEOMETRY)


if __name__ == "__main__":
    raise SystemExit(main())
