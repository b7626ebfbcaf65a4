"""Hash vectors by the persisted BucketedRandomProjectionLSHModel and pack the hashes, as Spark columns."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.feature import (
    BucketedRandomProjectionLSH,
    BucketedRandomProjectionLSHModel,
    PCAModel,
)
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lsh.sketch import make_sketch
from jobs.spark.parts import ROW, unpack
from jobs.spark.paths import literal
from jobs.store.calibrations import Calibration
from jobs.store.manifest import Lsh
from jobs.store.packed import Part, array_of, load_sketch, save_sketch
from jobs.store.versions import Index

log = logging.getLogger(__name__)


def hashed(
    spark: SparkSession,
    pictures: DataFrame,
    index: Index,
    calibration: Calibration,
    lsh: Lsh,
    base: Index | None,
) -> DataFrame:
    """``pictures`` (id, vector) as rows to be packed; the models are written into ``index``.

    With ``base``, its models are copied and its pictures keep their hashes: only new ones are hashed.
    """
    if base:
        for model in (base.lsh_model, base.reduction):
            shutil.copytree(model, index.folder / model.name)
        shutil.copyfile(base.sketch, index.sketch)
        ids = pictures.select("id")
        known = unpack(spark, base.packed).join(ids, "id", "left_semi")
        fresh = pictures.join(spark.read.parquet(literal(base.captions_file)).select("id"), "id", "left_anti")
        log.info(f"{known.count():,} pictures keep the hashes of index {base.version}")
    else:
        if lsh["reduced_dimension"] is not None:
            shutil.copytree(calibration.reduction, index.reduction)
        _fit(pictures, index, calibration, lsh)
        known, fresh = None, pictures
    rows = _hash(fresh, index) if index.sketch.exists() else _without_hashes(fresh)
    return rows.unionByName(known) if known else rows


def _fit(pictures: DataFrame, index: Index, calibration: Calibration, lsh: Lsh) -> None:
    """Fit and save the LSH model and, from the planes that it drew, how its hashes are decoded."""
    is_reduced = lsh["reduced_dimension"] is not None
    reduced = PCAModel.load(literal(index.reduction)).transform(pictures) if is_reduced else pictures
    fitted = BucketedRandomProjectionLSH(
        inputCol="reduced" if is_reduced else "vector",
        outputCol="hashes",
        bucketLength=lsh["bucket_length"],
        numHashTables=lsh["num_hash_tables"],
        seed=lsh["seed"],
    ).fit(reduced)
    fitted.save(str(index.lsh_model))
    if is_reduced:
        moments = calibration.moments()
        planes, width = planes_of(fitted), fitted.getBucketLength()
        sketch = make_sketch(moments.components, planes, width, moments.mean, moments.covariance)
        save_sketch(index.sketch, sketch)


def planes_of(model: BucketedRandomProjectionLSHModel) -> NDArray[np.float64]:
    """The model's (L, p) random unit vectors, a row per table."""
    # PySpark doesn't expose them; calling the JVM is shorter than reading the saved model's Parquet.
    planes: NDArray[np.float64] = model._call_java("randMatrix").toArray()
    return planes


def _hash(pictures: DataFrame, index: Index) -> DataFrame:
    sketch = load_sketch(index.sketch)
    reduced = PCAModel.load(literal(index.reduction)).transform(pictures)
    hashes = BucketedRandomProjectionLSHModel.load(literal(index.lsh_model)).transform(reduced)
    columns = hashes.select(
        "id",
        vector_to_array(F.col("vector"), "float32").alias("vector"),
        F.transform("hashes", lambda hash: vector_to_array(hash)[0].cast("int")).alias("hashes"),
    )

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            hashes = array_of(batch["hashes"])
            codes, clipped = sketch.pack(hashes)
            ids = np.array(batch["id"].to_pylist(), "S32")
            yield Part(ids, codes, sketch.norms(codes), clipped, array_of(batch["vector"])).batch()

    return columns.mapInArrow(write, ROW)


def _without_hashes(pictures: DataFrame) -> DataFrame:
    return pictures.select(
        "id",
        vector_to_array(F.col("vector"), "float32").alias("vector"),
        F.lit(b"").alias("codes"),
        F.lit(0.0).cast("float").alias("norm"),
        F.lit(0).alias("clipped"),
    )
