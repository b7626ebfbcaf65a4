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

from jobs.base.atomic import in_use, staged_directory, write_json
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.lsh.choice import (
    MIN_PICTURES,
    SAMPLE,
    TABLES,
    Choice,
    Moments,
    Prediction,
    check,
    choose,
    reduced_dimensions,
)
from jobs.lsh.sketch import Floats
from jobs.lsh.splits import Ids
from jobs.spark.session import spark_session
from jobs.store.packed import array_of
from jobs.store.root import DataRoot
from jobs.vectors import current_vectors, fingerprint_of

log = logging.getLogger(__name__)

DEFAULT_K = 5
DEFAULT_TARGET = 0.95
DEFAULT_SEED = 42


GROWN = 2.0
"""A choice is made anew where pictures have become so many times more, or fewer."""


@dataclass(frozen=True)
class Calibration:
    """How to hash, and what that promises for the vectors it was checked on last."""

    folder: Path
    fingerprint: str
    """The model that made the vectors."""
    k: int
    target: float
    seed: int
    choice: Choice | None
    """None: too few pictures, search is exact."""
    vectors: str
    """Key of the vectors it was checked on."""
    pictures: int
    prediction: Prediction | None

    @property
    def reduction(self) -> Path:
        """The saved PCAModel."""
        return self.folder / "reduction"

    @property
    def moments(self) -> Path:
        return self.folder / "moments.npz"


def open_calibration(root: DataRoot) -> Calibration:
    """The last calibration; it counts as used. Raises LookalikeError where there is none."""
    try:
        current = json.loads((root.calibrations / "current.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LookalikeError(
            f"no calibration in {root.calibrations}: run the step calibrate first."
        ) from error
    folder = root.calibrations / current["calibration"]
    in_use(folder)
    made = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
    made["choice"] = made["choice"] and Choice(**made["choice"])
    prediction = current["prediction"] and Prediction(**current["prediction"])
    return Calibration(
        folder, **made, vectors=current["vectors"], pictures=current["pictures"], prediction=prediction
    )


def calibrate_vectors(
    root: DataRoot, *, k: int = DEFAULT_K, target: float = DEFAULT_TARGET, seed: int = DEFAULT_SEED
) -> Calibration:
    """Calibrate for the vectors that ``vectors/current`` names.

    An earlier choice for the same model, k, target and seed is checked on a sample of the new
    vectors and kept, so that pictures hashed by it stay as they are; it is made anew only where it
    misses the target or the pictures have become ``GROWN`` times more or fewer.
    ``seed`` draws the sample, the queries and the hash tables.

    Raises LookalikeError where no vectors were assembled or ``target`` is none between 0 and 1.
    """
    if not 0 < target < 1:
        raise LookalikeError(f"recall target {target} must lie between 0 and 1: mend the parameter.")
    if k < 1:
        raise LookalikeError(f"k is {k}: calibrate for 1 neighbour or more.")
    vectors = current_vectors(root)
    asked = {"fingerprint": fingerprint_of(vectors), "k": k, "target": target, "seed": seed}
    earlier = open_calibration(root) if (root.calibrations / "current.json").exists() else None
    if earlier and any(getattr(earlier, name) != value for name, value in asked.items()):
        earlier = None
    if earlier and earlier.vectors == vectors.name:
        log.info(f"{earlier.folder} is calibrated on these vectors already")
    else:
        with section("calibrate"), spark_session("calibrate") as spark:
            pictures = spark.read.parquet(str(vectors / "pictures"))
            count = pictures.count()
            if earlier and (prediction := _check(spark, earlier, pictures, count)):
                name = earlier.folder.name
            else:
                name = hashlib.sha256(json.dumps([asked, vectors.name]).encode()).hexdigest()[:16]
                prediction = _choose(spark, root, name, asked, pictures, count)
        current = {"calibration": name, "vectors": vectors.name, "pictures": count}
        current["prediction"] = prediction and asdict(prediction)
        write_json(root.calibrations / "current.json", current)
    calibration = open_calibration(root)
    _say(calibration)
    return calibration


def _check(spark: SparkSession, earlier: Calibration, pictures: DataFrame, count: int) -> Prediction | None:
    """What the earlier choice promises for these pictures; None where it is to be made anew."""
    choice = earlier.choice
    if choice is None:
        return None
    if not choice.pictures / GROWN <= count <= choice.pictures * GROWN:
        log.info(f"{count:,} pictures, calibrated for {choice.pictures:,}: calibrating anew")
        return None
    planes = _planes(spark, choice.reduced_dimension, earlier.seed)[: choice.num_hash_tables]
    ids, sample = _arrays(_drawn(pictures, earlier.seed))
    moments = Moments.load(earlier.moments)
    prediction = check(choice, ids, sample, count, moments, planes, k=earlier.k, seed=earlier.seed)
    if prediction.recall < earlier.target:
        log.info(f"{earlier.folder} finds {prediction.recall:.3f}, too little: calibrating anew")
        return None
    log.info(f"{earlier.folder} still serves")
    return prediction


def _choose(
    spark: SparkSession, root: DataRoot, name: str, asked: dict[str, Any], pictures: DataFrame, count: int
) -> Prediction | None:
    """Write ``calibrations/<name>``: the choice and all that hashing by it needs."""
    k, target, seed = asked["k"], asked["target"], asked["seed"]
    choice, prediction = None, None
    with staged_directory(root.calibrations / name) as staging:
        if count < MIN_PICTURES:
            log.info(f"{count:,} pictures are too few to calibrate: search is exact")
        else:
            drawn = _drawn(pictures, seed).cache()
            ids, sample = _arrays(drawn)
            tried = reduced_dimensions(sample.shape[1])
            components = _reduction(drawn, max(tried)).pc.toArray()
            planes = {dimension: _planes(spark, dimension, seed) for dimension in tried}
            moments = Moments.of(sample, components)
            choice, prediction = choose(ids, sample, count, moments, planes, k=k, target=target, seed=seed)
            reduction = _reduction(drawn, choice.reduced_dimension)
            reduction.save(str(staging / "reduction"))
            Moments.of(sample, reduction.pc.toArray()).save(staging / "moments.npz")
        write_json(staging / "choice.json", {**asked, "choice": choice and asdict(choice)})
    return prediction


def _drawn(pictures: DataFrame, seed: int) -> DataFrame:
    """``SAMPLE`` vectors by hash of the id: the same of the same pictures, however they are partitioned."""
    return pictures.orderBy(F.xxhash64("id", F.lit(seed))).limit(SAMPLE).select("id", "vector")


def _arrays(drawn: DataFrame) -> tuple[Ids, Floats]:
    rows = drawn.select("id", vector_to_array(F.col("vector"), "float32").alias("vector")).toArrow()
    return np.array(rows["id"].to_pylist(), "S32"), array_of(rows["vector"])


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


def _say(calibration: Calibration) -> None:
    choice, prediction = calibration.choice, calibration.prediction
    if choice and prediction:
        log.info(
            f"{choice.num_hash_tables} hash tables over {choice.reduced_dimension} dimensions, "
            f"bucket length {choice.bucket_length:.4f}; {prediction.refined:,} candidates refined a query "
            f"of {calibration.pictures:,} promise recall@{calibration.k} {prediction.recall:.3f} "
            f"(at least {prediction.lower_bound:.3f})"
        )
        if not prediction.disjoint:
            log.info("too few pictures for queries of their own: those that confirm also chose")
        if prediction.lower_bound < calibration.target:
            log.info("the lower bound is below the target: the step index adds candidates if it has to")


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
