"""Fit the LSH model, hash every vector, measure the recall, publish: the DAG's task ``index``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pyspark.ml.feature import (
    BucketedRandomProjectionLSH,
    BucketedRandomProjectionLSHModel,
    PCAModel,
)
from pyspark.sql import SparkSession

from jobs.calibrate import Calibration, open_calibration, planes_of
from jobs.calibration import Moments
from jobs.catalog import read_counts
from jobs.embeddings import EmbeddingStore
from jobs.errors import LookalikeError
from jobs.logs import run_step, section
from jobs.manifest import Index
from jobs.packed import pack
from jobs.paths import DataRoot
from jobs.publish import staged_directory, write_json
from jobs.recall import measure_recall
from jobs.session import spark_session
from jobs.sketch import Sketch, make_sketch
from jobs.vectors import current_vectors

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
    """Fit, hash, pack, measure and publish the vectors that ``vectors/current`` names.

    The version is the hash of vectors, calibration and parameters, so the same input ends in the
    same index however often a run was killed; a version that is there already is published as it is.

    Raises LookalikeError where vectors or their calibration are missing, or the measured recall
    misses the target: then the index stays unpublished.
    """
    vectors = current_vectors(root)
    calibration = open_calibration(root)
    if calibration.told()["vectors"] != vectors.name:
        raise LookalikeError(f"{calibration.folder} is of other vectors: run the step calibrate again.")
    told = json.dumps([calibration.folder.name, asdict(params)])
    index = Index(root.index / hashlib.sha256(told.encode()).hexdigest()[:16])
    if index.folder.exists():
        log.info(f"index {index.version} is there already")
    else:
        with section("fit, hash and measure"), spark_session("index") as spark:
            _build(spark, root, vectors, calibration, params, index)
    _gate(index)
    index.publish()
    log.info(f"published index {index.version}: {index.manifest()['images']:,} pictures")
    return index


def _build(
    spark: SparkSession,
    root: DataRoot,
    vectors: Path,
    calibration: Calibration,
    params: LshParams,
    index: Index,
) -> None:
    told = calibration.told()
    choice: dict[str, Any] = told["choice"] or {}
    lsh = {
        "num_hash_tables": params.num_hash_tables or choice.get("num_hash_tables", EXACT_TABLES),
        "bucket_length": params.bucket_length or choice.get("bucket_length", EXACT_BUCKET_LENGTH),
        "seed": told["seed"],
        "reduced_dimension": choice.get("reduced_dimension"),
    }
    model = EmbeddingStore(root.embeddings / (vectors / "fingerprint").read_text()).model()
    pictures = spark.read.parquet(str(vectors / "pictures"))
    with staged_directory(index.folder) as staging:
        staged = Index(staging)
        if choice:
            shutil.copytree(calibration.reduction, staged.reduction)
            pictures = PCAModel.load(str(staged.reduction)).transform(pictures)
        fitted = BucketedRandomProjectionLSH(
            inputCol="reduced" if choice else "vector",
            outputCol="hashes",
            bucketLength=lsh["bucket_length"],
            numHashTables=lsh["num_hash_tables"],
            seed=lsh["seed"],
        ).fit(pictures)
        fitted.save(str(staged.lsh_model))
        fitted.transform(pictures).write.parquet(str(staged.pictures))
        sketch = _sketch(fitted, calibration, staged) if choice else None
        hashed = spark.read.parquet(str(staged.pictures))
        images, clipped = pack(hashed, sketch, staged.packed)
        manifest = {
            "version": index.version,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "images": images,
            "dimension": model["dimension"],
            "model": model,
            "lsh": lsh,
            "catalog": read_counts(root),
            "spark": spark.version,
        }
        if sketch:
            refined, recall = measure_recall(
                spark,
                staged,
                k=told["k"],
                target=told["target"],
                refined=params.refined or choice["refined"],
                fixed=params.refined is not None,
                seed=told["seed"] + 1,
            )
            manifest |= {
                "search": "sketch",
                "refined": refined,
                "refined_fraction": refined / images,
                "bytes_read": sketch.row_bytes / (4 * model["dimension"]) + refined / images,
                "clipped": clipped / (images * lsh["num_hash_tables"]),
                "recall": {**recall, "predicted": choice["predicted_recall"]},
            }
        else:
            log.info(f"{images:,} pictures are too few to calibrate: search is exact")
            exact = {
                "k": told["k"],
                "target": told["target"],
                "measured": 1.0,
                "lower_bound": 1.0,
                "queries": 0,
            }
            manifest |= {"search": "exact", "refined": images, "refined_fraction": 1.0, "recall": exact}
        write_json(staged.manifest_file, manifest)


def _sketch(fitted: BucketedRandomProjectionLSHModel, calibration: Calibration, staged: Index) -> Sketch:
    """Derive packing and decoding from the planes that the model really has, and save them."""
    moments = Moments.load(calibration.moments)
    sketch = make_sketch(
        moments.components, planes_of(fitted), fitted.getBucketLength(), moments.mean, moments.covariance
    )
    sketch.save(staged.sketch)
    return sketch


def _gate(index: Index) -> None:
    recall = index.manifest()["recall"]
    if recall["lower_bound"] < recall["target"]:
        raise LookalikeError(
            f"index {index.version} finds {recall['measured']:.3f} of the {recall['k']} nearest neighbours "
            f"(at least {recall['lower_bound']:.3f}), below the target {recall['target']}, and is not "
            "published: lower the target, or leave bucket length, tables and candidates to the calibration."
        )


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
