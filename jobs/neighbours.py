"""Find every picture's nearest neighbours and store them: the DAG's task ``neighbours``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from jobs.base.atomic import staged_directory
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.search.opened import OpenIndex, open_for_search
from jobs.spark.session import spark_session
from jobs.store.neighbours import check_neighbours
from jobs.store.reading import is_whole
from jobs.store.root import CURRENT, DataRoot
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)

STORED = 10
"""Neighbours stored per picture: two rows of five."""
MAX_STORED = 100
BLOCK = 1_024
"""Query pictures per block: enough for a matrix product, few enough that their scores fit in memory."""
STORED_ROW = "id string, neighbours array<struct<id: string, distance: float>>"


def store_neighbours(root: DataRoot, version: str = BUILT, k: int = STORED) -> Index:
    """Write ``index/<version>/neighbours``: Parquet, a row per picture, ascending by id.

    Columns: id, neighbours (the k nearest others, ascending by distance; id and Euclidean distance).
    They are found as a query finds them, in one Spark job; existing ones are kept.

    Raises LookalikeError if there is no such index or k is out of range.
    """
    if not 1 <= k <= MAX_STORED:
        raise LookalikeError(f"k is {k}: store 1 to {MAX_STORED} neighbours.")
    index = open_index(root, version)
    if is_whole(index.neighbours, lambda: check_neighbours(index)):
        log.info(f"{index.neighbours} exists already")
        return index
    with (
        section("neighbours of every picture"),
        spark_session("neighbours") as spark,
        staged_directory(index.neighbours) as staging,
    ):
        rows = _of_all(spark, index, k)
        rows.write.option("parquet.block.size", 1 << 20).parquet(str(staging), mode="overwrite")
    log.info(f"{index.neighbours}: the {k} nearest of {index.manifest()['images']:,} pictures")
    return index


def _of_all(spark: SparkSession, index: Index, k: int) -> DataFrame:
    """Each task searches all parts for blocks of pictures: nothing is shuffled."""
    sizes = [len(part.ids) for part in open_for_search(index).parts]
    starts = [(part, start) for part, size in enumerate(sizes) for start in range(0, size, BLOCK)]
    blocks = [(number, *block) for number, block in enumerate(starts)]

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Mapped once per task: a mapped file can't be sent.
        opened = open_for_search(index)
        for batch in batches:
            for part, start in zip(batch["part"].to_pylist(), batch["start"].to_pylist(), strict=True):
                yield _of_block(opened, part, start, k)

    queries = spark.createDataFrame(blocks, "number long, part long, start long")
    return queries.repartitionByRange(len(blocks), "number").drop("number").mapInArrow(find, STORED_ROW)


def _of_block(index: OpenIndex, part: int, start: int, k: int) -> pa.RecordBatch:
    block = slice(start, start + BLOCK)
    own = index.parts[part].ids[block].astype(str).tolist()
    ids, distances = index.search(index.parts[part].vectors[block], own, k)
    present = ids != b""
    offsets = [0, *present.sum(axis=1).cumsum().tolist()]
    others = pa.array(ids[present].astype(str).tolist(), pa.string())
    pairs = pa.StructArray.from_arrays([others, pa.array(distances[present])], ["id", "distance"])
    return pa.record_batch({"id": pa.array(own), "neighbours": pa.ListArray.from_arrays(offsets, pairs)})


def main(argv: Sequence[str] | None = None) -> int:
    parser = step_parser("python -m jobs.neighbours", __doc__)
    parser.add_argument("--k", type=int, default=STORED, help="neighbours to store per picture")
    add_name(parser, "--index-version", "the index version", BUILT, CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        return {"index_version": store_neighbours(DataRoot.from_env(), given.index_version, given.k).version}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
