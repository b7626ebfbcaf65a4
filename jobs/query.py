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

from pyspark.ml.feature import BucketedRandomProjectionLSHModel
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
from jobs.session import spark_session

log = logging.getLogger(__name__)

RANDOM = "random"
CAPTION = ("id", "path", "label", "class_name")
MAX_K = 100


def answer(
    root: DataRoot, run: str, *, query: str = RANDOM, k: int = 5, seed: int = 0, version: str = "current"
) -> Path:
    """Find the ``k`` nearest neighbours of one picture and write ``queries/<run>/neighbours.json``.

    ``query`` is ``random`` (drawn by ``seed``), an id of the index, a path or file name in
    the index, or the path of any other picture, which is embedded by the index's own model.
    The picture itself is left out. Where the LSH tables hold fewer than ``k`` neighbours,
    exact search answers instead, and ``method`` and ``note`` say so.

    Raises LookalikeError where the index or the picture can't be had.
    """
    if not 1 <= k <= MAX_K:
        raise LookalikeError(f"k is {k}: ask for 1 to {MAX_K} neighbours.")
    index = open_index(root, version)
    folder = root.queries / safe_name(run)
    with section("query"), spark_session("query") as spark:
        pictures = spark.read.parquet(str(index.pictures))
        told, vector = _resolve(pictures, index, folder, query, seed)
        log.info(f"query {told['id'] or '(not in the index)'}: {told['path']!r}")
        others = pictures.where(F.col("id") != told["id"]) if told["id"] else pictures
        result = search(spark, index, others, vector, k)
    manifest = index.manifest()
    write_json(
        folder / "neighbours.json",
        {
            "query": told,
            "k": k,
            **result,
            "index": {"version": index.version, "images": manifest["images"], "lsh": manifest["lsh"]},
            "model": manifest["model"],
        },
    )
    return folder


def search(
    spark: SparkSession, index: Index, pictures: DataFrame, vector: DenseVector, k: int
) -> dict[str, Any]:
    """Ask the saved LSH model for the ``k`` pictures nearest to ``vector``, exact search if it finds fewer.

    Returns ``method`` (``stock`` or ``exact``), ``note`` (None or a sentence) and ``neighbours``,
    ascending by Euclidean distance and then id.
    """
    model = BucketedRandomProjectionLSHModel.load(str(index.lsh_model))
    found = model.approxNearestNeighbors(pictures, vector, k, distCol="distance")
    rows = _neighbours(found, k)
    if len(rows) == k:
        return {"method": "stock", "note": None, "neighbours": rows}
    note = f"The hash tables held {len(rows)} of {k} neighbours, so exact search answered."
    rows = _neighbours(pictures.withColumn("distance", _distance(vector)), k)
    if len(rows) < k:
        note = f"The index holds {len(rows)} other pictures, fewer than the {k} asked for."
    log.warning(note)
    return {"method": "exact", "note": note, "neighbours": rows}


def _distance(vector: DenseVector) -> Any:
    """Euclidean distance to ``vector`` as a column, computed in the JVM."""
    values = F.lit(vector.toArray().tolist())
    squares = F.zip_with(vector_to_array(F.col("vector")), values, lambda x, y: (x - y) * (x - y))
    return F.sqrt(F.aggregate(squares, F.lit(0.0), lambda total, square: total + square))


def _neighbours(found: DataFrame, k: int) -> list[dict[str, Any]]:
    rows = found.select(*CAPTION, "distance").orderBy("distance", "id").limit(k).collect()
    return [{"rank": rank, **row.asDict()} for rank, row in enumerate(rows, start=1)]


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
    parser.add_argument("--index-version", default="current", help="which version of the index")

    def step(options: argparse.Namespace) -> None:
        answer(
            DataRoot.from_env(),
            options.run,
            query=options.query,
            k=options.k,
            seed=options.seed,
            version=options.index_version,
        )

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
