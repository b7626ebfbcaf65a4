"""Fit the LSH model, hash every vector, publish the index: the DAG's task ``index``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pyspark.ml.feature import BucketedRandomProjectionLSH
from pyspark.sql import SparkSession

from jobs.catalog import read_counts
from jobs.embeddings import EmbeddingStore
from jobs.errors import LookalikeError
from jobs.logs import run_step, section
from jobs.manifest import Index
from jobs.paths import DataRoot
from jobs.publish import staged_directory, write_json
from jobs.session import spark_session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LshParams:
    """Parameters of BucketedRandomProjectionLSH on vectors of length 1.

    A table's hash is ``floor(r . x / bucket_length)`` for a random unit vector ``r``.
    Two pictures ``c`` apart fall into one bucket of a table the oftener, the smaller
    ``c / (sqrt(512) bucket_length)`` is; a picture is a candidate where any table agrees.
    """

    bucket_length: float = 0.05
    num_hash_tables: int = 3
    seed: int = 42

    def __post_init__(self) -> None:
        if not self.bucket_length > 0:
            raise LookalikeError(f"bucket length {self.bucket_length} must be above 0: mend the parameter.")
        if self.num_hash_tables < 1:
            raise LookalikeError(f"{self.num_hash_tables} hash tables are too few: give 1 or more.")


def build_index(root: DataRoot, params: LshParams) -> Index:
    """Fit, hash, save and publish the vectors that ``vectors/current`` names.

    The version is the hash of vectors and parameters, so the same input ends in the same
    index however often a run was killed; a version that is there already is published
    as it is.

    Raises LookalikeError where no vectors were assembled.
    """
    try:
        key = (root.vectors / "current").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise LookalikeError(f"no vectors in {root.vectors}: run the step vectors first.") from error
    told = json.dumps([key, asdict(params)])
    index = Index(root.index / hashlib.sha256(told.encode()).hexdigest()[:16])
    if index.folder.exists():
        log.info(f"index {index.version} is there already")
    else:
        with section("fit and hash"), spark_session("index") as spark:
            _build(spark, root, key, params, index)
    index.publish()
    log.info(f"published index {index.version}: {index.manifest()['images']:,} pictures")
    return index


def _build(spark: SparkSession, root: DataRoot, key: str, params: LshParams, index: Index) -> None:
    vectors = root.vectors / key
    pictures = spark.read.parquet(str(vectors / "pictures"))
    model_of_embeddings = EmbeddingStore(root.embeddings / (vectors / "fingerprint").read_text()).model()
    lsh = BucketedRandomProjectionLSH(
        inputCol="vector",
        outputCol="hashes",
        bucketLength=params.bucket_length,
        numHashTables=params.num_hash_tables,
        seed=params.seed,
    )
    with staged_directory(index.folder) as staging:
        staged = Index(staging)
        model = lsh.fit(pictures)
        model.save(str(staged.lsh_model))
        model.transform(pictures).write.parquet(str(staged.pictures))
        images = spark.read.parquet(str(staged.pictures)).count()
        manifest = {
            "version": index.version,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "images": images,
            "dimension": model_of_embeddings["dimension"],
            "model": model_of_embeddings,
            "lsh": asdict(params),
            "catalog": read_counts(root),
            "spark": spark.version,
        }
        write_json(staged.manifest_file, manifest)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/index.py", description=__doc__)
    parser.add_argument("--bucket-length", type=float, default=LshParams.bucket_length)
    parser.add_argument("--num-hash-tables", type=int, default=LshParams.num_hash_tables)
    parser.add_argument("--lsh-seed", type=int, default=LshParams.seed)

    def step(options: argparse.Namespace) -> None:
        params = LshParams(options.bucket_length, options.num_hash_tables, options.lsh_seed)
        build_index(DataRoot.from_env(), params)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
