"""Spark's own search, approxNearestNeighbors, by the saved model."""

from __future__ import annotations

import numpy as np
from pyspark.ml.feature import BucketedRandomProjectionLSHModel, PCAModel
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.lsh.sketch import Floats
from jobs.spark.parts import unpack
from jobs.spark.paths import literal
from jobs.store.versions import Index


def stock_search(
    spark: SparkSession, index: Index, vector: Floats, own: str | None, k: int
) -> list[tuple[str, float]]:
    """Ids and exact distances, ascending, that approxNearestNeighbors finds for a (d,) unit vector."""
    pictures = unpack(spark, index.packed).select("id", array_to_vector(F.col("vector")).alias("vector"))
    if own:
        pictures = pictures.where(F.col("id") != own)
    key = Vectors.dense(vector.astype(float))
    if index.reduction.exists():
        reduction = PCAModel.load(literal(index.reduction))
        pictures = reduction.transform(pictures)
        key = Vectors.dense(reduction.pc.toArray().T @ key.toArray())
    model = BucketedRandomProjectionLSHModel.load(literal(index.lsh_model))
    # Its distance is that of the reduced vectors, not the exact one.
    rows = model.approxNearestNeighbors(pictures, key, k, distCol="reduced_distance").collect()
    pairs = [(float(np.linalg.norm(row["vector"].toArray() - vector)), row["id"]) for row in rows]
    return [(id_, distance) for distance, id_ in sorted(pairs)]
