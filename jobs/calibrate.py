"""Choose how to hash, to reach a recall: the DAG's task ``calibrate``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.feature import PCA, BucketedRandomProjectionLSH, PCAModel
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.base import options
from jobs.base.atomic import in_use, staged_directory
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.lsh.choice import (
    ALIKE,
    MIN_PICTURES,
    SAMPLE,
    TABLES,
    Moments,
    Prediction,
    check,
    choose,
    reduced_dimensions,
    spread,
)
from jobs.lsh.sketch import Floats
from jobs.lsh.splits import Ids
from jobs.spark.hashing import planes_of
from jobs.spark.paths import literal
from jobs.spark.session import spark_session
from jobs.store.calibrations import FORMAT, Calibration, Target, open_calibration, point_to_calibration
from jobs.store.packed import array_of
from jobs.store.reading import is_whole
from jobs.store.root import CURRENT, DataRoot
from jobs.store.vectors import open_vectors

log = logging.getLogger(__name__)

GROWN = 2.0
"""A choice is made again if there are this many times more pictures, or fewer."""


def calibrate_vectors(
    root: DataRoot,
    *,
    recall: float = options.RECALL.default,
    recall_at: int = options.RECALL_AT.default,
    seed: int = options.LSH_SEED.default,
    vectors: str = CURRENT,
) -> Calibration:
    """Calibrate for assembled vectors, by name or those assembled last, for recall@``recall_at``.

    The last choice, if it was made for the same model, recall@k and seed, is checked on a sample of these
    vectors and kept, so that pictures hashed by it stay as they are; it is made again only if it
    misses the recall or the pictures have become ``GROWN`` times more or fewer.
    ``seed`` draws the sample, the queries and the hash tables.

    Raises LookalikeError if no vectors were assembled, ``recall`` is not strictly between 0 and 1,
    or ``recall_at`` is out of range.
    """
    options.check_option(options.RECALL_AT, recall_at)
    options.check_option(options.RECALL, recall)
    assembled = open_vectors(root, vectors)
    facts = assembled.description()
    target = Target(fingerprint=facts["fingerprint"], k=recall_at, target=recall, seed=seed)
    calibration = _checked_on(root, assembled.name, target) or _last_one_for(root, target)
    if calibration and calibration.is_checked(assembled.name):
        log.info(f"{calibration.folder} was already checked on these vectors")
    else:
        with section("calibrate"), spark_session("calibrate") as spark:
            pictures, count = spark.read.parquet(literal(assembled.pictures)), facts["pictures"]
            prediction = calibration and _check(spark, calibration, pictures, count)
            if not (calibration and prediction):
                calibration, prediction = _choose(spark, root, target, assembled.name, pictures, count)
        calibration.record_check(assembled.name, count, prediction)
    point_to_calibration(root, calibration)
    _log(calibration, assembled.name, facts["dimension"])
    return calibration


def _checked_on(root: DataRoot, vectors: str, target: Target) -> Calibration | None:
    """The calibration for the same that was checked on these vectors first: a task that is run again, after
    other runs have calibrated, keeps what its run took."""
    checks = sorted(
        root.calibrations.glob(f"*/checks/{vectors}.json"), key=lambda file: file.stat().st_mtime_ns
    )
    for calibration in (Calibration(file.parents[1]) for file in checks):
        with suppress(LookalikeError):
            if in_use(calibration.folder) and calibration.chosen()["target"] == target:
                calibration.check_whole()
                return calibration
    return None


def _last_one_for(root: DataRoot, target: Target) -> Calibration | None:
    """The last calibration, if it is for the same."""
    if not (root.calibrations / CURRENT).exists():
        log.info("no earlier calibration")
        return None
    try:
        last = open_calibration(root)
        last.check_whole()
        return last if last.chosen()["target"] == target else None
    except LookalikeError as error:
        log.info(f"the earlier calibration can't be checked: {error}")
        return None


def _check(spark: SparkSession, earlier: Calibration, pictures: DataFrame, count: int) -> Prediction | None:
    """What the earlier choice promises for these pictures; None if it has to be made again."""
    chosen = earlier.chosen()
    target, choice = chosen["target"], chosen["choice"]
    if choice is None:
        return None
    if not choice.pictures / GROWN <= count <= choice.pictures * GROWN:
        log.info(f"{count:,} pictures, calibrated for {choice.pictures:,}: recalibrating")
        return None
    seed = target["seed"]
    planes = _planes(spark, choice.reduced_dimension, seed)[: choice.num_hash_tables]
    ids, sample = _arrays(_drawn(pictures, seed))
    prediction = check(choice, ids, sample, count, earlier.moments(), planes, k=target["k"], seed=seed)
    if prediction.recall < target["target"]:
        log.info(f"recall {prediction.recall:.3f} of {earlier.folder} is below the target: recalibrating")
        return None
    log.info(f"keeping calibration {earlier.name}")
    return prediction


def _choose(
    spark: SparkSession, root: DataRoot, target: Target, vectors: str, pictures: DataFrame, count: int
) -> tuple[Calibration, Prediction | None]:
    """Write ``calibrations/<hash>``: the choice and all that hashing by it needs."""
    content = json.dumps([FORMAT, target, vectors])
    calibration = Calibration(root.calibrations / hashlib.sha256(content.encode()).hexdigest()[:16])
    if is_whole(calibration.folder, calibration.check_whole) and calibration.is_checked(vectors):
        return calibration, calibration.check(vectors)["prediction"]
    choice, prediction, seed = None, None, target["seed"]
    with staged_directory(calibration.folder) as staging:
        staged = Calibration(staging)
        if count < MIN_PICTURES:
            log.info(f"{count:,} pictures are too few to calibrate: search is exact")
        else:
            drawn = _drawn(pictures, seed).cache()
            ids, sample = _arrays(drawn)
            if spread(sample) < ALIKE:
                log.info(f"all {count:,} pictures are alike: search is exact")
            else:
                tried = reduced_dimensions(sample.shape[1])
                components = _reduction(drawn, max(tried)).pc.toArray()
                choice, prediction = choose(
                    ids,
                    sample,
                    count,
                    Moments.of(sample, components),
                    {dimension: _planes(spark, dimension, seed) for dimension in tried},
                    k=target["k"],
                    target=target["target"],
                    seed=seed,
                )
                reduction = _reduction(drawn, choice.reduced_dimension)
                reduction.save(str(staged.reduction))
                staged.save_moments(Moments.of(sample, reduction.pc.toArray()))
        staged.describe(target, choice)
        staged.record_check(vectors, count, prediction)
    return calibration, prediction


def _drawn(pictures: DataFrame, seed: int) -> DataFrame:
    """``SAMPLE`` vectors by hash of the id: the same for the same pictures, however they are partitioned."""
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


def _log(calibration: Calibration, vectors: str, dimension: int) -> None:
    chosen, check = calibration.chosen(), calibration.check(vectors)
    choice, prediction = chosen["choice"], check["prediction"]
    if choice and prediction:
        log.info(
            f"{choice.num_hash_tables} hash tables over {choice.reduced_dimension} of {dimension} "
            f"dimensions, bucket length {choice.bucket_length:.4f}; {prediction.candidates:,} candidates "
            f"of {check['pictures']:,} pictures promise recall@{chosen['target']['k']} "
            f"{prediction.recall:.3f} (at least {prediction.lower_bound:.3f})"
        )
        if not prediction.disjoint:
            log.info("too few pictures for queries of their own: those that confirm also chose")
        if prediction.lower_bound < chosen["target"]["target"]:
            log.info("the lower bound is below the target: the step index adds candidates if it has to")


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser(
        "python -m jobs.calibrate", __doc__, options.RECALL, options.RECALL_AT, options.LSH_SEED
    )
    add_name(parser, "--vectors", "the assembled vectors", CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        calibration = calibrate_vectors(
            DataRoot.from_env(),
            recall=given.recall,
            recall_at=given.recall_at,
            seed=given.lsh_seed,
            vectors=given.vectors,
        )
        return {"calibration": calibration.name}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
