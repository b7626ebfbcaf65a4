"""Assemble embeddings and labels into one vector column: the DAG's task ``vectors``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from pyspark.ml.feature import Normalizer, VectorAssembler
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.base.atomic import in_use, staged_directory, write_text
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.spark.session import spark_session
from jobs.store.catalog import catalog_file, read_catalog
from jobs.store.embeddings import CSV_COLUMNS, DIMENSION, EmbeddingStore
from jobs.store.root import DataRoot

log = logging.getLogger(__name__)

FORMATS = ("parquet", "csv")


def read_embeddings(spark: SparkSession, store: EmbeddingStore, format: str) -> DataFrame:
    """Read the store's Parquet shards or its CSV -> (id, embedding: 512-vector)."""
    if format == "parquet":
        # A filter on the folder: a glob in the path is planned file by file, many times slower.
        shards = spark.read.option("pathGlobFilter", "shard-*.parquet").parquet(str(store.folder))
        return shards.select("id", array_to_vector(F.col("embedding")).alias("embedding"))
    schema = ", ".join(f"{name} {'string' if name == 'id' else 'float'}" for name in CSV_COLUMNS)
    # What can't be read becomes NaN, which is looked for below.
    rows = spark.read.csv(str(store.csv), schema=schema, header=True, mode="PERMISSIVE")
    assembler = VectorAssembler(inputCols=CSV_COLUMNS[1:], outputCol="embedding", handleInvalid="keep")
    return assembler.transform(rows).select("id", "embedding")


def assemble(spark: SparkSession, root: DataRoot, store: EmbeddingStore, format: str) -> DataFrame:
    """Join the catalog's usable pictures to their embeddings.

    One row a content hash (files of the same bytes go by the first path):
    id, path, label, class_name, vector (the embedding, scaled to length 1).
    """
    files = spark.read.parquet(str(catalog_file(root))).where("status = 'ok'")
    first = F.min(F.struct("path", "label", "class_name")).alias("first")
    pictures = files.groupBy("id").agg(first).select("id", "first.*")
    normalizer = Normalizer(inputCol="embedding", outputCol="vector", p=2.0)
    joined = pictures.join(read_embeddings(spark, store, format), "id")
    return normalizer.transform(joined).drop("embedding")


def assemble_vectors(root: DataRoot, fingerprint: str, format: str = "parquet") -> Path:
    """Write the assembled vectors to ``vectors/<hash of what they are made of>`` and name them
    in ``vectors/current``; nothing is computed where that folder is there already.

    Raises LookalikeError where catalog or embeddings are missing, or an embedding is none.
    """
    store = EmbeddingStore(root.embeddings / fingerprint)
    store.model()
    target = root.vectors / _key(root, fingerprint)
    if in_use(target):
        log.info(f"{target} holds these vectors already")
    else:
        with (
            section("assemble vectors"),
            spark_session("vectors") as spark,
            staged_directory(target) as staging,
        ):
            assemble(spark, root, store, format).write.parquet(str(staging / "pictures"))
            count = _count(spark.read.parquet(str(staging / "pictures")), store)
            write_text(staging / "fingerprint", fingerprint)
            log.info(f"{count:,} vectors of {store.model()['dimension']} values in {target}")
    write_text(root.vectors / "current", target.name)
    return target


def _count(pictures: DataFrame, store: EmbeddingStore) -> int:
    """How many there are. Raises LookalikeError where one is NaN, infinite, zero or of another length."""
    values = vector_to_array(F.col("vector"))
    # Scaled to length 1, unless that could not be done.
    square = F.aggregate(values, F.lit(0.0), lambda total, value: total + value * value)
    sound = (F.size(values) == DIMENSION) & (F.abs(square - 1) < 1e-3)
    told = (
        pictures.select("id", sound.alias("sound"))
        .agg(
            F.count("*").alias("count"),
            F.count_if(~F.col("sound")).alias("unsound"),
            F.min(F.when(~F.col("sound"), F.col("id"))).alias("first"),
        )
        .first()
    )
    assert told is not None
    if told["unsound"]:
        raise LookalikeError(
            f"{told['unsound']:,} embeddings in {store.folder} are not {DIMENSION} finite values other than "
            f"zero (picture {told['first']} is the first): delete that folder and run the step embed again."
        )
    count: int = told["count"]
    return count


def current_vectors(root: DataRoot) -> Path:
    """The folder that was assembled last; it counts as used. Raises LookalikeError where there is none."""
    try:
        folder = root.vectors / (root.vectors / "current").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LookalikeError(f"no vectors in {root.vectors}: run the step vectors first.") from error
    in_use(folder)
    return folder


def fingerprint_of(vectors: Path) -> str:
    """The model that made assembled vectors."""
    return (vectors / "fingerprint").read_text(encoding="utf-8")


def _key(root: DataRoot, fingerprint: str) -> str:
    """Hash of all that the vectors depend on: the usable pictures, their labels and the model."""
    pictures = [
        (row["id"], row["path"], row["label"], row["class_name"])
        for row in read_catalog(root)
        if row["status"] == "ok"
    ]
    return hashlib.sha256(json.dumps([fingerprint, sorted(pictures, key=str)]).encode()).hexdigest()[:16]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/vectors.py", description=__doc__)
    parser.add_argument("--fingerprint", required=True, help="which model's embeddings: a folder's name")
    parser.add_argument("--format", choices=FORMATS, default="parquet", help="read Parquet or the CSV")

    def step(options: argparse.Namespace) -> None:
        assemble_vectors(DataRoot.from_env(), options.fingerprint, options.format)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
