"""Assemble embeddings and labels into one vector column: the DAG's task ``vectors``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence

from pyspark.ml.feature import Normalizer, VectorAssembler
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.base import options
from jobs.base.atomic import staged_directory
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.spark.paths import literal
from jobs.spark.session import spark_session
from jobs.store.catalog import catalog_file, catalog_folder, read_catalog
from jobs.store.embeddings import EmbeddingStore, csv_columns
from jobs.store.reading import is_whole
from jobs.store.root import CURRENT, DataRoot, check_fingerprint
from jobs.store.vectors import FORMAT, Vectors, point_to_vectors

log = logging.getLogger(__name__)


def read_embeddings(spark: SparkSession, store: EmbeddingStore, format: str) -> DataFrame:
    """Read the store's Parquet shards or its CSV -> (id, embedding: d-vector)."""
    if format == "parquet":
        # A filter on the folder: a glob in the path is planned file by file, many times slower.
        shards = spark.read.option("pathGlobFilter", "shard-*.parquet").parquet(literal(store.folder))
        return shards.select("id", array_to_vector(F.col("embedding")).alias("embedding"))
    columns = csv_columns(store.model()["dimension"])
    schema = ", ".join(f"{name} {'string' if name == 'id' else 'float'}" for name in columns)
    # What can't be read becomes NaN, which ``_count`` finds.
    rows = spark.read.csv(literal(store.csv), schema=schema, header=True, mode="PERMISSIVE")
    assembler = VectorAssembler(inputCols=columns[1:], outputCol="embedding", handleInvalid="keep")
    return assembler.transform(rows).select("id", "embedding")


def assemble(
    spark: SparkSession, root: DataRoot, catalog: str, store: EmbeddingStore, format: str
) -> DataFrame:
    """Join the catalog's usable pictures to their embeddings.

    One row per content hash (of files with the same bytes the first that has a label, else the first):
    id, path, label, class_name, vector (the embedding, scaled to length 1).
    """
    files = spark.read.parquet(literal(catalog_file(root, catalog))).where("status = 'ok'")
    unlabelled = F.col("label").isNull().alias("unlabelled")
    first = F.min(F.struct(unlabelled, "path", "label", "class_name")).alias("first")
    pictures = files.groupBy("id").agg(first).select("id", "first.path", "first.label", "first.class_name")
    normalizer = Normalizer(inputCol="embedding", outputCol="vector", p=2.0)
    joined = pictures.join(read_embeddings(spark, store, format), "id")
    return normalizer.transform(joined).drop("embedding")


def assemble_vectors(
    root: DataRoot, fingerprint: str, format: str = options.FORMAT.default, *, catalog: str = CURRENT
) -> Vectors:
    """Write the assembled vectors to ``vectors/<hash of what they are made of>`` and return them;
    nothing is computed if that folder exists.

    Raises LookalikeError if catalog or embeddings are missing, or an embedding is invalid.
    """
    options.check_option(options.FORMAT, format)
    check_fingerprint(fingerprint)
    store = EmbeddingStore(root.embeddings / fingerprint)
    dimension = store.model()["dimension"]
    catalog = catalog_folder(root, catalog).name
    vectors = Vectors(root.vectors / _key(root, catalog, fingerprint))
    if is_whole(vectors.folder, vectors.check):
        log.info(f"{vectors.folder} holds these vectors already")
    else:
        with (
            section("assemble vectors"),
            spark_session("vectors") as spark,
            staged_directory(vectors.folder) as staging,
        ):
            staged = Vectors(staging)
            assemble(spark, root, catalog, store, format).write.parquet(str(staged.pictures))
            count = _count(spark.read.parquet(literal(staged.pictures)), store, dimension)
            _check_complete(root, catalog, store, count)
            staged.describe(
                {"fingerprint": fingerprint, "catalog": catalog, "pictures": count, "dimension": dimension}
            )
            log.info(f"{count:,} vectors of {dimension} values in {vectors.folder}")
    point_to_vectors(root, vectors)
    return vectors


def _count(pictures: DataFrame, store: EmbeddingStore, dimension: int) -> int:
    """The number of vectors. Raises LookalikeError if one is NaN, infinite, zero or of another length."""
    values = vector_to_array(F.col("vector"))
    # All are scaled to length 1, unless that was impossible.
    square = F.aggregate(values, F.lit(0.0), lambda total, value: total + value * value)
    sound = (F.size(values) == dimension) & (F.abs(square - 1) < 1e-3)
    counted = (
        pictures.select("id", sound.alias("sound"))
        .agg(
            F.count("*").alias("count"),
            F.count_if(~F.col("sound")).alias("unsound"),
            F.min(F.when(~F.col("sound"), F.col("id"))).alias("first"),
        )
        .first()
    )
    assert counted is not None
    if counted["unsound"]:
        raise LookalikeError(
            f"{counted['unsound']:,} embeddings in {store.folder} are not {dimension} finite values other "
            f"than zero (picture {counted['first']} is the first): delete that folder and run the step embed "
            "again."
        )
    count: int = counted["count"]
    return count


def _check_complete(root: DataRoot, catalog: str, store: EmbeddingStore, count: int) -> None:
    """Raises LookalikeError unless each usable picture of the catalog has one embedding."""
    usable = len({row["id"] for row in read_catalog(root, catalog) if row["status"] == "ok"})
    if count < usable:
        raise LookalikeError(
            f"{usable - count:,} of {usable:,} usable pictures have no embedding in {store.folder}: "
            "run the step embed first."
        )
    if count > usable:
        raise LookalikeError(
            f"{store.folder} holds some embeddings twice: delete that folder and run the step embed again."
        )


def _key(root: DataRoot, catalog: str, fingerprint: str) -> str:
    """Hash of all that the vectors depend on: the usable pictures, their labels, the model and the format."""
    pictures = [
        (row["id"], row["path"], row["label"], row["class_name"])
        for row in read_catalog(root, catalog)
        if row["status"] == "ok"
    ]
    content = [FORMAT, fingerprint, sorted(pictures, key=str)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.vectors", __doc__, options.FORMAT)
    parser.add_argument("--fingerprint", required=True, help="the model: the name of a folder in embeddings/")
    add_name(parser, "--catalog", "the catalog", CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        vectors = assemble_vectors(
            DataRoot.from_env(), given.fingerprint, given.format, catalog=given.catalog
        )
        return {"vectors": vectors.name}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
