"""Hash every vector, and measure the recall of the index: the DAG's task ``index``."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, NotRequired

import pyarrow.dataset
from pyspark.sql import SparkSession
from typing_extensions import TypedDict

from jobs.base import options
from jobs.base.atomic import staged_directory
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.search.opened import OpenIndex
from jobs.spark.hashing import hashed
from jobs.spark.parts import pack
from jobs.spark.paths import literal
from jobs.spark.recall import measure_recall
from jobs.spark.session import spark_session
from jobs.store.calibrations import Calibration, open_calibration
from jobs.store.catalog import read_counts
from jobs.store.embeddings import EmbeddingStore
from jobs.store.manifest import FORMAT, Lsh, Recall
from jobs.store.packed import load_sketch, open_parts
from jobs.store.reading import is_whole
from jobs.store.root import CURRENT, DataRoot
from jobs.store.vectors import Vectors, open_vectors
from jobs.store.versions import BUILT, CAPTION, Index, open_index, point_to_index

log = logging.getLogger(__name__)

EXACT_TABLES, EXACT_BUCKET_LENGTH = 3, 0.05
"""For indexes too small to calibrate, whose hashes only the stock search uses."""


@dataclass(frozen=True)
class LshParams:
    """Parameters of BucketedRandomProjectionLSH that override the calibration; None keeps the calibration's.

    A table's hash is ``floor(r . x / bucket_length)`` for a random unit vector ``r``.
    ``candidates`` is the number of pictures that a query re-ranks by exact distance.
    """

    bucket_length: float | None = None
    num_hash_tables: int | None = None
    candidates: int | None = None

    def __post_init__(self) -> None:
        options.check_option(options.BUCKET_LENGTH, self.bucket_length)
        options.check_option(options.NUM_HASH_TABLES, self.num_hash_tables)
        options.check_option(options.CANDIDATES, self.candidates)


class _Searched(TypedDict):
    """How the index is searched, and its measured recall: part of the manifest."""

    search: Literal["sketch", "exact"]
    candidates: int
    candidates_fraction: float
    bytes_read: float
    clipped: NotRequired[float]
    recall: Recall


def build_index(
    root: DataRoot, params: LshParams, *, vectors: str = CURRENT, calibration: str = CURRENT
) -> Index:
    """Hash, pack and measure assembled vectors by a calibration; name the version in ``index/built``.

    The version is the hash of vectors, calibration and parameters, so the same input ends in the
    same index however often a run was killed; a version that is there already stays as it is.
    Pictures of the version built before that were hashed the same way keep their hashes.

    Raises LookalikeError if vectors or their calibration are missing or there is only one vector.
    """
    assembled, calibrated = open_vectors(root, vectors), open_calibration(root, calibration)
    calibrated.check(assembled.name)  # the calibration is of these vectors
    content = json.dumps([FORMAT, assembled.name, calibrated.name, asdict(params)])
    index = Index(root.index / hashlib.sha256(content.encode()).hexdigest()[:16])
    if is_whole(index.folder, index.verify):
        log.info(f"index {index.version} exists already")
    else:
        with section("fit, hash and measure"), spark_session("index") as spark:
            _build(spark, root, assembled, calibrated, params, index)
    index.verify()
    point_to_index(root, BUILT, index)
    manifest = index.manifest()
    log.info(
        f"index {index.version}: {manifest['images']:,} pictures, recall@{manifest['recall']['k']} "
        f"{manifest['recall']['measured']:.3f} with {manifest['candidates_fraction']:.2%} of them re-ranked "
        f"and {manifest['bytes_read']:.2%} of the bytes read"
    )
    return index


def _build(
    spark: SparkSession,
    root: DataRoot,
    vectors: Vectors,
    calibration: Calibration,
    params: LshParams,
    index: Index,
) -> None:
    chosen, facts = calibration.chosen(), vectors.description()
    choice = chosen["choice"]
    lsh = Lsh(
        num_hash_tables=params.num_hash_tables or (choice.num_hash_tables if choice else EXACT_TABLES),
        bucket_length=params.bucket_length or (choice.bucket_length if choice else EXACT_BUCKET_LENGTH),
        seed=chosen["target"]["seed"],
        reduced_dimension=choice.reduced_dimension if choice else None,
    )
    model = EmbeddingStore(root.embeddings / facts["fingerprint"]).model()
    pictures = spark.read.parquet(literal(vectors.pictures))
    with staged_directory(index.folder) as staging:
        staged = Index(staging)
        captions = pyarrow.dataset.dataset(vectors.pictures).to_table(columns=list(CAPTION)).sort_by("id")
        staged.write_captions(captions)
        images = len(captions)
        if images < 2:
            raise LookalikeError(f"an index needs at least 2 pictures, found {images}: add pictures.")
        base = _hashed_alike(root, calibration.name, lsh)
        pack(
            hashed(spark, pictures, staged, calibration, lsh, base), images, facts["dimension"], staged.packed
        )
        staged.record(
            {
                "version": index.version,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "images": images,
                "dimension": facts["dimension"],
                "model": model,
                "vectors": vectors.name,
                "calibration": calibration.name,
                "catalog": facts["catalog"],
                "source": read_counts(root, facts["catalog"]),
                "lsh": lsh,
                "hashes_kept_of": base.version if base else None,
                "spark": spark.version,
                **_searched(spark, staged, calibration, vectors.name, params, images),
                "files": staged.files(),
            }
        )


def _searched(
    spark: SparkSession, staged: Index, calibration: Calibration, vectors: str, params: LshParams, images: int
) -> _Searched:
    target, prediction = calibration.chosen()["target"], calibration.check(vectors)["prediction"]
    k = target["k"]
    if not prediction:
        log.info("the calibration chose no way to hash: search is exact")
        exact = Recall(k=k, target=target["target"], measured=1.0, lower_bound=1.0, queries=0)
        return {
            "search": "exact",
            "candidates": images,
            "candidates_fraction": 1.0,
            "bytes_read": 1.0,
            "recall": exact,
        }
    parts, sketch = tuple(open_parts(staged.packed)), load_sketch(staged.sketch)
    opened = OpenIndex(staged.packed, parts, sketch, params.candidates or prediction.candidates, k)
    candidates, recall = measure_recall(
        spark,
        opened,
        target=target["target"],
        fixed=params.candidates is not None,
        seed=target["seed"],
        disjoint=prediction.disjoint,
    )
    # The prediction holds only for the calibration's own choice.
    recall["predicted"] = prediction.recall if params == LshParams() else None
    per_part = OpenIndex(staged.packed, parts, sketch, candidates, k).way(k).candidates
    compared = sum(min(per_part, len(part.ids)) for part in parts) / images
    vector_bytes = 4 * parts[0].vectors.shape[1]
    return {
        "search": "sketch",
        "candidates": candidates,
        "candidates_fraction": compared,
        "bytes_read": sketch.row_bytes / vector_bytes + compared,
        "clipped": sum(int(part.clipped.sum()) for part in parts) / (images * len(sketch.zero)),
        "recall": recall,
    }


def _hashed_alike(root: DataRoot, calibration: str, lsh: Lsh) -> Index | None:
    """The version that was built last, if its pictures were hashed in the same way and are not corrupt."""
    if not (root.index / BUILT).exists():
        log.info("no earlier index to reuse: hashing every picture")
        return None
    try:
        base = open_index(root, BUILT)
        base.verify(content=True)
    except LookalikeError as error:
        log.info(f"the earlier index can't be reused, hashing every picture: {error}")
        return None
    manifest = base.manifest()
    alike = (manifest["search"], manifest["calibration"], manifest["lsh"]) == ("sketch", calibration, lsh)
    return base if alike else None


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser(
        "python -m jobs.index",
        __doc__,
        options.BUCKET_LENGTH,
        options.NUM_HASH_TABLES,
        options.CANDIDATES,
    )
    add_name(parser, "--vectors", "the assembled vectors", CURRENT)
    add_name(parser, "--calibration", "the calibration", CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        index = build_index(
            DataRoot.from_env(),
            LshParams(given.bucket_length, given.num_hash_tables, given.candidates),
            vectors=given.vectors,
            calibration=given.calibration,
        )
        return {"index_version": index.version}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
