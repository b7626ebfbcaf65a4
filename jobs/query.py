"""Find the pictures most like one picture: the DAG's task ``query``."""

from __future__ import annotations

import argparse
import io
import logging
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.ml.feature import BucketedRandomProjectionLSHModel, PCAModel
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import DenseVector, Vectors
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from jobs.errors import LookalikeError
from jobs.logs import run_step, section
from jobs.manifest import Index, open_index
from jobs.paths import QUERY_PICTURE, DataRoot, safe_name
from jobs.publish import staged_file, write_json
from jobs.scan import content_id
from jobs.search import search_many
from jobs.session import spark_session

log = logging.getLogger(__name__)

RANDOM = "random"
CAPTION = ("id", "path", "label", "class_name")
MAX_K = 100
METHODS = ("sketch", "exact", "stock")
OVERLAP_PICTURES = 100_000
"""Up to here exact search costs next to nothing, so every answer is compared with it."""


def answer(
    root: DataRoot,
    run: str,
    *,
    query: str = RANDOM,
    k: int = 5,
    seed: int = 0,
    method: str = "sketch",
    version: str = "current",
) -> Path:
    """Find the ``k`` nearest neighbours of one picture and write ``queries/<run>/neighbours.json``.

    ``query`` is ``random`` (drawn by ``seed``), an id of the index, a path or file name in
    the index, or the path of any other picture, which is embedded by the index's own model.
    The picture itself is left out.

    ``method`` is ``sketch`` (pictures ranked by their packed hashes, the best compared truly),
    ``exact`` (all compared) or ``stock`` (Spark's approxNearestNeighbors as it is). Where it can't
    do what is asked, exact search answers instead, and ``method`` and ``note`` say so.

    Raises LookalikeError where the index or the picture can't be had.
    """
    if not 1 <= k <= MAX_K:
        raise LookalikeError(f"k is {k}: ask for 1 to {MAX_K} neighbours.")
    if method not in METHODS:
        raise LookalikeError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}.")
    index = open_index(root, version)
    folder = root.queries / safe_name(run)
    with section("query"), spark_session("query") as spark:
        pictures = spark.read.parquet(str(index.pictures))
        told, vector = _resolve(pictures, index, folder, query, seed)
        log.info(f"query {told['id'] or '(not in the index)'}: {told['path']!r}")
        result = search(spark, index, pictures, told["id"], vector, k, method)
    manifest = index.manifest()
    write_json(
        folder / "neighbours.json",
        {
            "query": told,
            "k": k,
            **result,
            "index": {
                "version": index.version,
                **{name: manifest[name] for name in ("images", "lsh", "recall", "refined_fraction")},
            },
            "model": manifest["model"],
        },
    )
    return folder


def search(
    spark: SparkSession,
    index: Index,
    pictures: DataFrame,
    id_: str | None,
    vector: DenseVector,
    k: int,
    method: str,
) -> dict[str, Any]:
    """Find the ``k`` of ``pictures`` nearest to ``vector``, the picture ``id_`` left out.

    Returns ``method``, ``note`` (None or a sentence), ``overlap`` (with the exact answer; None
    where that would take long) and ``neighbours``, ascending by Euclidean distance and then id.
    """
    manifest = index.manifest()
    query = np.array([vector.toArray()], np.float32)

    def packed(refined: int | None) -> list[tuple[str, float]]:
        row = search_many(spark, index, query, [id_], k, refined).first()
        return [(found["id"], found["distance"]) for found in row["neighbours"]] if row else []

    note = None
    if method == "sketch" and manifest["search"] == "exact":
        method, note = "exact", f"{manifest['images']:,} pictures are too few to hash, so search is exact."
    exact = packed(None) if method == "exact" or manifest["images"] <= OVERLAP_PICTURES else None
    if method == "sketch":
        found = packed(manifest["refined"])
    elif method == "stock":
        found = _stock(index, pictures, id_, vector, k)
    else:
        found = exact or []
    if len(found) < k:
        if method != "exact":
            note = f"The hash tables held {len(found)} of {k} neighbours, so exact search answered."
            method, found = "exact", exact or packed(None)
        if len(found) < k:
            note = f"The index holds {len(found)} other pictures, fewer than the {k} asked for."
    if note:
        log.warning(note)
    ids = {id_ for id_, _ in found}
    overlap = len(ids & {id_ for id_, _ in exact}) / len(exact) if exact else None
    if overlap is not None:
        log.info(f"{method} search found {overlap:.0%} of what exact search finds")
    captions = {row["id"]: _caption(row) for row in pictures.where(F.col("id").isin(list(ids))).collect()}
    neighbours = [
        {"rank": rank, **captions[id_], "distance": distance}
        for rank, (id_, distance) in enumerate(found, start=1)
    ]
    return {"method": method, "note": note, "overlap": overlap, "neighbours": neighbours}


def _stock(
    index: Index, pictures: DataFrame, id_: str | None, vector: DenseVector, k: int
) -> list[tuple[str, float]]:
    """What Spark's own search over the saved hash tables finds, with its true distances."""
    model = BucketedRandomProjectionLSHModel.load(str(index.lsh_model))
    others = pictures.where(F.col("id") != id_) if id_ else pictures
    key = vector
    if index.reduction.exists():
        key = Vectors.dense(PCAModel.load(str(index.reduction)).pc.toArray().T @ vector.toArray())
    # Its own distance is that of reduced vectors.
    found = model.approxNearestNeighbors(others, key, k, distCol="reduced_distance")
    rows = found.withColumn("distance", _distance(vector)).select("id", "distance").collect()
    return sorted(((row["id"], row["distance"]) for row in rows), key=lambda pair: (pair[1], pair[0]))


def _distance(vector: DenseVector) -> Any:
    """Euclidean distance to ``vector`` as a column, computed in the JVM."""
    values = F.lit(vector.toArray().tolist())
    squares = F.zip_with(vector_to_array(F.col("vector")), values, lambda x, y: (x - y) * (x - y))
    return F.sqrt(F.aggregate(squares, F.lit(0.0), lambda total, square: total + square))


def _resolve(
    pictures: DataFrame, index: Index, folder: Path, query: str, seed: int
) -> tuple[dict[str, Any], DenseVector]:
    """Turn ``query`` into what is told of the picture and its vector of length 1."""
    if query == RANDOM:
        ids = sorted(row["id"] for row in pictures.select("id").collect())
        query = random.Random(seed).choice(ids)
    if re.fullmatch(r"[0-9a-f]{32}", query):
        if known := _by_id(pictures, query):
            return known
        raise LookalikeError(f"the index holds no picture with id {query}: choose another.")
    file = Path(query).expanduser()
    by_path = pictures.where(F.col("path") == str(file.absolute()))
    by_name = pictures.where(F.element_at(F.split("path", "/"), -1) == query)
    for named in (by_path, by_name):
        rows = named.limit(2).collect()
        if len(rows) == 2:
            raise LookalikeError(f"{query!r} names several pictures of the index: give a path or an id.")
        if rows:
            return _caption(rows[0]), rows[0]["vector"]
    return _from_file(pictures, file, index, folder)


def _by_id(pictures: DataFrame, id_: str) -> tuple[dict[str, Any], DenseVector] | None:
    row = pictures.where(F.col("id") == id_).first()
    return (_caption(row), row["vector"]) if row else None


def _caption(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in CAPTION}


def _from_file(
    pictures: DataFrame, file: Path, index: Index, folder: Path
) -> tuple[dict[str, Any], DenseVector]:
    """Look a file up by its bytes, else embed it by the model that made the index."""
    # Only such a query needs PyTorch, which takes seconds to import.
    from jobs.embedder import ImageEmbedder
    from jobs.pictures import BadPictureError, load_rgb
    from jobs.weights import load_weights

    model = index.manifest()["model"]
    try:
        content = file.read_bytes()
        if known := _by_id(pictures, content_id(content)):
            return known
        picture = load_rgb(io.BytesIO(content))
    except OSError as error:
        raise LookalikeError(
            f"{str(file)!r} is neither in the index nor a file that can be read ({error.strerror}): "
            "give an id, a path or random."
        ) from error
    except BadPictureError as error:
        raise LookalikeError(f"{str(file)!r} can't be used as a query: {error}.") from error
    embedder = ImageEmbedder(load_weights(model["weights"]), geometry=model["geometry"])
    if embedder.fingerprint != model["fingerprint"]:
        raise LookalikeError(
            f"weights {model['weights']} are not those that made index {index.version} "
            f"(fingerprint {embedder.fingerprint}, not {model['fingerprint']}): build the index anew."
        )
    resized = embedder.resize(picture)
    with staged_file(folder / QUERY_PICTURE) as staging:
        resized.save(staging, "JPEG", quality=90)
    embedding = embedder.embed_resized([resized])[0].astype(float)
    unit = embedding / max(float((embedding**2).sum() ** 0.5), 1e-12)
    told = {"id": None, "path": str(file.absolute()), "label": None, "class_name": None}
    return told, Vectors.dense(unit)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/query.py", description=__doc__)
    parser.add_argument("--query", default=RANDOM, help="random, or an id, file name or path")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="draws the random picture")
    parser.add_argument("--run", default="manual", help="names the folder under queries/")
    parser.add_argument("--method", choices=METHODS, default="sketch", help="how to search")
    parser.add_argument("--index-version", default="current", help="which version of the index")

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
