"""Find the pictures most like one picture: the DAG's task ``query``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml.feature import BucketedRandomProjectionLSHModel, PCAModel
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.base.atomic import write_json
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.search.lookup import RANDOM, Asked, look_up
from jobs.search.search import Search, exact_search, sketch_search
from jobs.spark.session import spark_session
from jobs.store.packed import unpack
from jobs.store.root import DataRoot
from jobs.store.versions import CURRENT, Index, open_index

log = logging.getLogger(__name__)

MAX_K = 100
METHODS = ("sketch", "exact", "auto", "stock")
OVERLAP_PICTURES = 100_000
"""Up to here exact search costs next to nothing, so every answer is compared with it."""

Found = list[tuple[str, float]]


def answer(
    root: DataRoot,
    run: str,
    *,
    query: str = RANDOM,
    k: int = 5,
    seed: int = 0,
    method: str = "sketch",
    version: str = CURRENT,
) -> Path:
    """Find the ``k`` nearest neighbours of one picture and write ``queries/<run>/neighbours.json``.

    ``query`` is what ``look_up`` takes. The picture itself is left out of its answer.

    ``method`` is ``sketch`` (pictures ranked by their packed hashes, the best compared truly),
    ``exact`` (all compared), ``auto`` (the faster of these two, as measured on this index) or
    ``stock`` (Spark's approxNearestNeighbors as it is). Where it can't do what is asked, exact
    search answers instead, and ``method`` and ``note`` say so.

    Raises LookalikeError where the index or the picture can't be had.
    """
    if not 1 <= k <= MAX_K:
        raise LookalikeError(f"k is {k}: ask for 1 to {MAX_K} neighbours.")
    if method not in METHODS:
        raise LookalikeError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}.")
    index = open_index(root, version)
    manifest = index.manifest()
    folder = root.query_folder(run)
    asked = look_up(root, index, query, seed, folder)
    log.info(f"query {asked.told['id'] or '(not in the index)'}: {asked.told['path']!r}")
    with section("query"), spark_session("query") as spark:
        result = search(spark, index, manifest, asked, k, method)
    if result["note"]:
        log.warning(result["note"])
    if result["overlap"] is not None:
        log.info(f"{result['method']} search found {result['overlap']:.0%} of what exact search finds")
    said = ("images", "lsh", "recall", "refined_fraction")
    told = {"version": index.version, **{name: manifest[name] for name in said}}
    answered = {"query": asked.told, "k": k, **result, "index": told, "model": manifest["model"]}
    write_json(folder / "neighbours.json", answered)
    return folder


def search(
    spark: SparkSession, index: Index, manifest: dict[str, Any], asked: Asked, k: int, method: str
) -> dict[str, Any]:
    """Find the ``k`` pictures nearest to ``asked``.

    Returns ``method``, ``note`` (None or a sentence), ``overlap`` (with the exact answer; None
    where that would take long) and ``neighbours``, ascending by Euclidean distance and then id.
    """
    method, note = _method(manifest, method)
    exact = None
    if method == "exact" or manifest["images"] <= OVERLAP_PICTURES:
        exact = _by_spark(spark, exact_search(index), asked, k)
    if method == "sketch":
        found = _by_spark(spark, sketch_search(index, manifest, k), asked, k)
    elif method == "stock":
        found = _stock(spark, index, asked, k)
    else:
        found = exact or []
    if len(found) < min(k, manifest["images"] - (asked.told["id"] is not None)):
        note = f"The hash tables held {len(found)} of {k} neighbours, so exact search answered."
        method, found = "exact", exact or _by_spark(spark, exact_search(index), asked, k)
    if len(found) < k:
        note = f"The index holds {len(found)} other pictures, fewer than the {k} asked for."
    ids = [id_ for id_, _ in found]
    overlap = len(set(ids) & {id_ for id_, _ in exact}) / len(exact) if exact else None
    captions = {row["id"]: row for row in index.captions(id=ids)}
    neighbours = [
        {"rank": rank, **captions[id_], "distance": distance}
        for rank, (id_, distance) in enumerate(found, start=1)
    ]
    return {"method": method, "note": note, "overlap": overlap, "neighbours": neighbours}


def _method(manifest: dict[str, Any], method: str) -> tuple[str, str | None]:
    """What ``auto`` is here, and what to say where there are no packed hashes."""
    if method == "auto":
        crossover = manifest.get("crossover")
        by_hashes = crossover is not None and manifest["images"] > crossover
        return ("sketch" if by_hashes else "exact"), None
    if method == "sketch" and manifest["search"] == "exact":
        return "exact", f"{manifest['images']:,} pictures are too few to hash, so search is exact."
    return method, None


def _by_spark(spark: SparkSession, way: Search, asked: Asked, k: int) -> Found:
    ids, distances = way.by_spark(spark, asked.vector, [asked.told["id"]], k)
    pairs = zip(ids[0].astype(str).tolist(), distances[0].tolist(), strict=True)
    return [(id_, distance) for id_, distance in pairs if id_]


def _stock(spark: SparkSession, index: Index, asked: Asked, k: int) -> Found:
    """What Spark's own search finds by the saved model, with true distances of whole vectors."""
    pictures = unpack(spark, index.packed).select("id", array_to_vector(F.col("vector")).alias("vector"))
    if asked.told["id"]:
        pictures = pictures.where(F.col("id") != asked.told["id"])
    key = Vectors.dense(asked.vector[0].astype(float))
    if index.reduction.exists():
        reduction = PCAModel.load(str(index.reduction))
        pictures = reduction.transform(pictures)
        key = Vectors.dense(reduction.pc.toArray().T @ key.toArray())
    model = BucketedRandomProjectionLSHModel.load(str(index.lsh_model))
    # Its own distance is that of reduced vectors.
    rows = model.approxNearestNeighbors(pictures, key, k, distCol="reduced_distance").collect()
    found = [(float(np.linalg.norm(row["vector"].toArray() - asked.vector[0])), row["id"]) for row in rows]
    return [(id_, distance) for distance, id_ in sorted(found)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/query.py", description=__doc__)
    parser.add_argument("--query", default=RANDOM, help="random, or an id, file name or path")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="draws the random picture")
    parser.add_argument("--run", default="manual", help="names the folder under queries/")
    parser.add_argument("--method", choices=METHODS, default="sketch", help="how to search")
    parser.add_argument("--index-version", default=CURRENT, help="a version, current or built")

    def step(options: argparse.Namespace) -> None:
        answer(
            DataRoot.from_env(),
            options.run,
            query=options.query,
            k=options.k,
            seed=options.seed,
            method=options.method,
            version=options.index_version,
        )

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
