"""Find the pictures most like one picture: the DAG's task ``query``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pyspark.sql import SparkSession

from jobs.base import options
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.logs import section
from jobs.embedding.copies import save_copy
from jobs.embedding.decoders import Decoders
from jobs.embedding.single import SingleEmbedder
from jobs.lsh.sketch import Floats
from jobs.search.answering import NO_HASHES, searched_index
from jobs.search.lookup import Asked, caption_of, look_up
from jobs.search.opened import OpenIndex, open_for_search
from jobs.spark.search import search_by_spark
from jobs.spark.session import spark_session
from jobs.store.answers import ANSWER, QUERY_PICTURE, Answer, Neighbour, write_answer
from jobs.store.gallery import Gallery, open_gallery
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)

Found = list[tuple[str, float]]


class _Result(TypedDict):
    """The part of the answer that a search gives."""

    method: str
    note: str | None
    overlap: float | None
    neighbours: list[Neighbour]


def answer(
    root: DataRoot,
    run: str,
    *,
    query: str = options.QUERY.default,
    k: int = options.K.default,
    seed: int = options.SEED.default,
    method: str = options.METHOD.default,
    overlap: bool = options.OVERLAP.default,
    version: str = CURRENT,
) -> Path:
    """Find the ``k`` nearest neighbours of one picture and write ``queries/<run>/neighbours.json``.

    ``query`` is what ``look_up`` accepts. The query picture is left out of its own answer.

    ``method`` is ``sketch`` (ranked by packed hashes, the best re-ranked by exact distance), ``exact``
    (every picture compared) or ``stock`` (Spark's approxNearestNeighbors as it is). If it can't find
    k, exact search answers instead, and ``method`` and ``note`` say so. With ``overlap`` exact search runs
    as well, and the answer has the share of its neighbours that were found.

    Raises LookalikeError if an option is not allowed, or there is no such index or picture.
    """
    options.check_option(options.K, k)
    options.check_option(options.METHOD, method)
    index = open_index(root, version)
    manifest, folder = index.manifest(), root.query_folder(run)

    def embed(content: bytes) -> Floats:
        with Decoders() as decoders:
            decoders.warm_up()  # while this process loads the network
            embedder = SingleEmbedder(root, manifest["model"], decoders).load()
            pixels = embedder.pixels(content)
        save_copy(pixels, folder / QUERY_PICTURE)
        return embedder.forward(pixels[None])

    with open_gallery(index) as gallery:
        opened = open_for_search(index)
        picture = look_up(opened, gallery, query, root, seed=seed, embed=embed)
        log.info(f"query {picture.caption['id'] or '(not in the index)'}: {picture.caption['path']!r}")
        with section("query"), spark_session("query") as spark:
            result = _search(spark, index, opened, gallery, picture, k, method, overlap)
    if result["note"]:
        log.warning(result["note"])
    if result["overlap"] is not None and result["method"] != "exact":
        log.info(f"{result['method']} search found {result['overlap']:.0%} of the exact search's neighbours")
    answered = Answer(
        query=picture.caption,
        k=k,
        **result,
        index=searched_index(index.version, manifest),
        model=manifest["model"],
    )
    write_answer(folder, answered)
    log.info(f"answer: {folder / ANSWER}")
    return folder


def _search(
    spark: SparkSession,
    index: Index,
    opened: OpenIndex,
    gallery: Gallery,
    picture: Asked,
    k: int,
    method: str,
    overlap: bool,
) -> _Result:
    note = None
    own = picture.caption["id"]
    if method == "sketch" and opened.sketch is None:
        method, note = "exact", NO_HASHES
    exact = _by_spark(spark, opened, picture, k, exact=True) if overlap or method == "exact" else None
    if method == "sketch":
        found = _by_spark(spark, opened, picture, k)
    elif method == "stock":
        from jobs.spark.stock import (
            stock_search,
        )  # with all of Spark's machine learning, which takes half a second

        found = stock_search(spark, index, picture.vector[0], own, k)
    else:
        found = exact or []
    if len(found) < min(k, len(opened) - (own is not None)):
        note = f"The hash tables held {len(found)} of {k} neighbours, so exact search answered."
        method, found = "exact", exact or _by_spark(spark, opened, picture, k, exact=True)
        exact = found
    if len(found) < k:
        note = f"The index holds {len(found)} other pictures, fewer than the {k} requested."
    captions = gallery.captions([id_ for id_, _ in found])
    return {
        "method": method,
        "note": note,
        "overlap": len(captions.keys() & {id_ for id_, _ in exact}) / len(exact) if exact else None,
        "neighbours": [
            Neighbour(**caption_of(captions[id_]), rank=rank, distance=distance)
            for rank, (id_, distance) in enumerate(found, start=1)
        ],
    }


def _by_spark(spark: SparkSession, index: OpenIndex, picture: Asked, k: int, *, exact: bool = False) -> Found:
    ids, distances = search_by_spark(spark, index, picture.vector, [picture.caption["id"]], k, exact=exact)
    pairs = zip(ids[0].astype(str).tolist(), distances[0].tolist(), strict=True)
    return [(id_, distance) for id_, distance in pairs if id_]


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.query", __doc__, *options.QUERY_OPTIONS)
    parser.add_argument("--run", default="manual", help="the folder under queries/")
    add_name(parser, "--index-version", "the index version", CURRENT, BUILT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        folder = answer(
            DataRoot.from_env(),
            given.run,
            query=given.query,
            k=given.k,
            seed=given.seed,
            method=given.method,
            overlap=given.overlap,
            version=given.index_version,
        )
        return {"answer": str(folder)}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
