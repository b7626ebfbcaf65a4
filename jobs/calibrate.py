"""Choose how to hash, for a recall to be reached: the DAG's task ``calibrate``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.feature import (
    PCA,
    BucketedRandomProjectionLSH,
    BucketedRandomProjectionLSHModel,
    PCAModel,
)
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.calibration import MIN_PICTURES, REDUCED, SAMPLE, TABLES, Choice, Moments, choose
from jobs.errors import LookalikeError
from jobs.logs import run_step, section
from jobs.paths import DataRoot
from jobs.publish import staged_directory, write_json, write_text
from jobs.session import spark_session
from jobs.vectors import current_vectors

log = logging.getLogger(__name__)

DEFAULT_K = 5
DEFAULT_TARGET = 0.95
DEFAULT_SEED = 42


@dataclass(frozen=True)
class Calibration:
    """What a calibration left: ``choice.json`` and, unless exact search was chosen, what it chose."""

    folder: Path

    @property
    def reduction(self) -> Path:
        """The saved PCAModel."""
        return self.folder / "reduction"

    @property
    def moments(self) -> Path:
        return self.folder / "moments.npz"

    def told(self) -> dict[str, Any]:
        """``vectors`` (a key), ``k``, ``target``, ``seed`` and ``choice`` (None: search exactly)."""
        told: dict[str, Any] = json.loads((self.folder / "choice.json").read_text(encoding="utf-8"))
        return told


def open_calibration(root: DataRoot) -> Calibration:
    """The last calibration. Raises LookalikeError where there is none."""
    try:
        return Calibration(root.calibrations / (root.calibrations / "current").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LookalikeError(
            f"no calibration in {root.calibrations}: run the step calibrate first."
        ) from error


def calibrate_vectors(
    root: DataRoot, *, k: int = DEFAULT_K, target: float = DEFAULT_TARGET, seed: int = DEFAULT_SEED
) -> Calibration:
    """Calibrate for the vectors that ``vectors/current`` names; computed once for equal input.

    ``seed`` draws the sample, the queries and the hash tables.
    Raises LookalikeError where no vectors were assembled or ``target`` is none between 0 and 1.
    """
    if not 0 < target < 1:
        raise LookalikeError(f"recall target {target} must lie between 0 and 1: mend the parameter.")
    if k < 1:
        raise LookalikeError(f"k is {k}: calibrate for 1 neighbour or more.")
    key = current_vectors(root).name
    told = {"vectors": key, "k": k, "target": target, "seed": seed}
    name = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    calibration = Calibration(root.calibrations / name)
    if calibration.folder.exists():
        log.info(f"{calibration.folder} holds this calibration already")
    else:
        with section("calibrate"), spark_session("calibrate") as spark:
            pictures = spark.read.parquet(str(root.vectors / key / "pictures"))
            with staged_directory(calibration.folder) as staging:
                choice = _calibrate(spark, pictures, staging, k, target, seed)
                write_json(staging / "choice.json", {**told, "choice": choice and asdict(choice)})
    write_text(root.calibrations / "current", name)
    _say(calibration.told())
    return calibration


def _calibrate(
    spark: SparkSession, pictures: DataFrame, staging: Path, k: int, target: float, seed: int
) -> Choice | None:
    count = pictures.count()
    if count < MIN_PICTURES:
        log.info(f"{count:,} pictures are too few to calibrate: search is exact")
        return None
    # By hash of the id: the same sample of the same pictures, however they are partitioned.
    drawn = pictures.orderBy(F.xxhash64("id", F.lit(seed))).limit(SAMPLE).select("vector").cache()
    rows = drawn.select(vector_to_array(F.col("vector"), "float32").alias("vector")).toArrow()
    vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
    components = _reduction(drawn, max(REDUCED)).pc.toArray()
    moments = Moments.of(vectors, components)
    planes = {dimension: _planes(spark, dimension, seed) for dimension in REDUCED}
    choice = choose(vectors, count, moments, planes, k=k, target=target, seed=seed)
    reduction = _reduction(drawn, choice.reduced_dimension)
    reduction.save(str(Calibration(staging).reduction))
    Moments.of(vectors, reduction.pc.toArray()).save(Calibration(staging).moments)
    return choice


def _reduction(vectors: DataFrame, dimension: int) -> PCAModel:
    return PCA(k=dimension, inputCol="vector", outputCol="reduced").fit(vectors)


def _planes(spark: SparkSession, dimension: int, seed: int) -> NDArray[np.float64]:
    """The (L, p) unit vectors that a model of ``seed`` draws for p values and max(TABLES) tables.

    A model of fewer tables draws the first of them.
    """
    zeros = spark.range(1).select(array_to_vector(F.array_repeat(F.lit(0.0), dimension)).alias("reduced"))
    lsh = BucketedRandomProjectionLSH(
        inputCol="reduced", outputCol="hashes", bucketLength=1.0, numHashTables=max(TABLES), seed=seed
    )
    return planes_of(lsh.fit(zeros))


def planes_of(model: BucketedRandomProjectionLSHModel) -> NDArray[np.float64]:
    """The model's (L, p) random unit vectors, a row a table."""
    # PySpark shows them nowhere; its own way to the JVM is shorter than the saved model's Parquet.
    planes: NDArray[np.float64] = model._call_java("randMatrix").toArray()
    return planes


def _say(told: dict[str, Any]) -> None:
    if choice := told["choice"]:
        log.info(
            f"{choice['num_hash_tables']} hash tables over {choice['reduced_dimension']} of 512 dimensions, "
            f"bucket length {choice['bucket_length']:.4f}; {choice['refined']:,} candidates refined a query "
            f"promise recall@{told['k']} {choice['predicted_recall']:.3f} "
            f"(at least {choice['predicted_lower_bound']:.3f}) for {choice['bytes_read']:.1%} of the bytes"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/calibrate.py", description=__doc__)
    parser.add_argument("--k", type=int, default=DEFAULT_K, help="neighbours that count")
    parser.add_argument("--target", type=float, default=DEFAULT_TARGET, help="recall to reach")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="draws sample, queries, hash tables")

    def step(options: argparse.Namespace) -> None:
        calibrate_vectors(DataRoot.from_env(), k=options.k, target=options.target, seed=options.seed)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
