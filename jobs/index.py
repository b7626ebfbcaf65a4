"""Hash every vector and measure the recall of what that gives: the DAG's task ``index``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.dataset
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from jobs.base.atomic import in_use, staged_directory, write_json, write_text
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.calibrate import Calibration, open_calibration
from jobs.search.search import sketch_search
from jobs.spark.crossover import measure_crossover
from jobs.spark.hashing import hashed
from jobs.spark.recall import measure_recall
from jobs.spark.session import spark_session
from jobs.store.catalog import read_counts
from jobs.store.embeddings import EmbeddingStore
from jobs.store.packed import Part, pack, parts
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, CAPTION, Index, open_index
from jobs.vectors import current_vectors, fingerprint_of

log = logging.getLogger(__name__)

T = TypeVar("T")

EXACT_TABLES, EXACT_BUCKET_LENGTH = 3, 0.05
"""For indexes too small to calibrate, whose hashes only the stock search uses."""


@dataclass(frozen=True)
class LshParams:
    """Parameters of BucketedRandomProjectionLSH that overrule the calibration; None leaves them to it.

    A table's hash is ``floor(r . x / bucket_length)`` for a random unit vector ``r``.
    ``refined`` is the number of candidates compared truly.
    """

    bucket_length: float | None = None
    num_hash_tables: int | None = None
    refined: int | None = None

    def __post_init__(self) -> None:
        if self.bucket_length is not None and not 0 < self.bucket_length < math.inf:
            raise LookalikeError(f"bucket length {self.bucket_length} must be above 0: mend the parameter.")
        if self.num_hash_tables is not None and self.num_hash_tables < 1:
            raise LookalikeError(f"{self.num_hash_tables} hash tables are too few: give 1 or more.")
        if self.refined is not None and self.refined < 1:
            raise LookalikeError(f"{self.refined} refined candidates are too few: give 1 or more.")


def build_index(root: DataRoot, params: LshParams) -> Index:
    """Hash, pack and measure the vectors that ``vectors/current`` names; name them in ``index/built``.

    The version is the hash of vectors, calibration and parameters, so the same input ends in the
    same index however often a run was killed; a version that is there already stays as it is.
    Pictures of the version built before that were hashed the same way keep their hashes.

    Raises LookalikeError where vectors or their calibration are missing or there is only one vector.
    """
    vectors = current_vectors(root)
    calibration = open_calibration(root)
    if calibration.vectors != vectors.name:
        raise LookalikeError(f"{calibration.folder} is of other vectors: run the step calibrate again.")
    told = json.dumps([vectors.name, calibration.folder.name, asdict(params)])
    index = Index(root.index / hashlib.sha256(told.encode()).hexdigest()[:16])
    if in_use(index.folder):
        log.info(f"index {index.version} is there already")
    else:
        with section("fit, hash and measure"), spark_session("index") as spark:
            _build(spark, root, vectors, calibration, params, index)
    index.verify()
    write_text(root.index / BUILT, index.version + "\n")
    manifest = index.manifest()
    log.info(
        f"index {index.version}: {manifest['images']:,} pictures, recall@{manifest['recall']['k']} "
        f"{manifest['recall']['measured']:.3f} with {manifest['refined_fraction']:.2%} compared truly "
        f"and {manifest['bytes_read']:.2%} of the bytes read"
    )
    return index


def _build(
    spark: SparkSession,
    root: DataRoot,
    vectors: Path,
    calibration: Calibration,
    params: LshParams,
    index: Index,
) -> None:
    choice = calibration.choice
    lsh = {
        "num_hash_tables": params.num_hash_tables or (choice.num_hash_tables if choice else EXACT_TABLES),
        "bucket_length": params.bucket_length or (choice.bucket_length if choice else EXACT_BUCKET_LENGTH),
        "seed": calibration.seed,
        "reduced_dimension": choice.reduced_dimension if choice else None,
    }
    model = EmbeddingStore(root.embeddings / fingerprint_of(vectors)).model()
    pictures = spark.read.parquet(str(vectors / "pictures"))
    with staged_directory(index.folder) as staging:
        staged = Index(staging)
        captions = pyarrow.dataset.dataset(vectors / "pictures").to_table(columns=list(CAPTION)).sort_by("id")
        pq.write_table(captions, staged.captions_file)
        images = len(captions)
        if images < 2:
            raise LookalikeError(
                f"an index of {images} pictures has no neighbours to find: take in 2 or more."
            )
        how = {"calibration": calibration.folder.name, "lsh": lsh}
        base = _hashed_alike(root, how)
        rows = hashed(spark, pictures, staged, calibration, lsh, base)
        pack(rows, images, staged.packed)
        manifest = {
            "version": index.version,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "images": images,
            "dimension": model["dimension"],
            "model": model,
            **how,
            "hashes_kept_of": base.version if base else None,
            "catalog": read_counts(root),
            "spark": spark.version,
            **_searched(spark, staged, calibration, params, images),
            "files": staged.files(),
        }
        write_json(staged.manifest_file, manifest)


def _searched(
    spark: SparkSession, staged: Index, calibration: Calibration, params: LshParams, images: int
) -> dict[str, Any]:
    """How the index is searched, and what that was measured to find: a part of the manifest."""
    k, target = calibration.k, calibration.target
    if not calibration.prediction:
        log.info(f"{images:,} pictures are too few to calibrate: search is exact")
        exact = {"k": k, "target": target, "measured": 1.0, "lower_bound": 1.0, "queries": 0}
        return {
            "search": "exact",
            "refined": images,
            "refined_fraction": 1.0,
            "bytes_read": 1.0,
            "recall": exact,
        }
    refined, recall = measure_recall(
        spark,
        staged,
        k=k,
        target=target,
        refined=params.refined or calibration.prediction.refined,
        fixed=params.refined is not None,
        seed=calibration.seed,
        disjoint=calibration.prediction.disjoint,
    )
    # Only the calibration's own choice was promised anything.
    recall["predicted"] = calibration.prediction.recall if params == LshParams() else None
    search = sketch_search(staged, {"refined": refined, "recall": recall}, k)
    assert search.sketch is not None
    opened = [Part.open(name) for name in parts(staged.packed)]
    compared = sum(min(search.refined, len(part.ids)) for part in opened) / images
    vector_bytes = 4 * opened[0].vectors.shape[1]
    tables = len(search.sketch.zero)
    return {
        "search": "sketch",
        "refined": refined,
        "refined_fraction": compared,
        "bytes_read": search.sketch.row_bytes / vector_bytes + compared,
        "clipped": sum(int(part.clipped.sum()) for part in opened) / (images * tables),
        "crossover": measure_crossover(spark, staged, search, k),
        "recall": recall,
    }


def _hashed_alike(root: DataRoot, how: dict[str, Any]) -> Index | None:
    """The version that was built last, if its pictures were hashed in the same way and are unspoilt."""
    try:
        base = open_index(root, BUILT)
        base.verify(content=True)
    except LookalikeError as error:
        log.info(f"all pictures are hashed: {error}")
        return None
    manifest = base.manifest()
    alike = manifest["search"] == "sketch" and all(manifest[name] == value for name, value in how.items())
    return base if alike else None


def _optional(kind: Callable[[str], T]) -> Callable[[str], T | None]:
    """An option that Airflow's templates may leave empty."""
    return lambda text: kind(text) if text not in ("", "None") else None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/index.py", description=__doc__)
    parser.add_argument("--bucket-length", type=_optional(float), help="overrules the calibration")
    parser.add_argument("--num-hash-tables", type=_optional(int), help="overrules the calibration")
    parser.add_argument("--refined", type=_optional(int), help="candidates; overrules the calibration")

    def step(options: argparse.Namespace) -> None:
        build_index(
            DataRoot.from_env(), LshParams(options.bucket_length, options.num_hash_tables, options.refined)
        )

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
