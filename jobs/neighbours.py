"""Find every picture's nearest neighbours and store them: the DAG's task ``neighbours``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from jobs.base.atomic import staged_directory
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.search.search import Search, index_search
from jobs.spark.session import spark_session
from jobs.store.packed import Part, parts
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)

STORED = 10
"""Neighbours kept of each picture: two rows of five."""
MAX_STORED = 100
BLOCK = 1_024
"""Pictures that ask at once: enough for a matrix product, few enough for their scores to fit."""
STORED_ROW = "id string, neighbours array<struct<id: string, distance: float>>"


def store_neighbours(root: DataRoot, version: str = BUILT, k: int = STORED) -> Index:
    """Write ``index/<version>/neighbours``: Parquet, a row a picture, ascending by id.

    Columns: id, neighbours (the k nearest others, ascending by distance; id and Euclidean distance).
    They are found the way the index is searched, in one Spark job; once there, they stay.

    Raises LookalikeError where there is no such index or k is out of range.
    """
    if not 1 <= k <= MAX_STORED:
        raise LookalikeError(f"k is {k}: store 1 to {MAX_STORED} neighbours.")
    index = open_index(root, version)
    if index.neighbours.exists():
        log.info(f"{index.neighbours} is there already")
        return index
    with (
        section("neighbours of every picture"),
        spark_session("neighbours") as spark,
        staged_directory(index.neighbours) as staging,
    ):
        found = _of_all(spark, index, index_search(index, k), k)
        found.write.option("parquet.block.size", 1 << 20).parquet(str(staging), mode="overwrite")
    log.info(f"{index.neighbours}: the {k} nearest of {index.manifest()['images']:,} pictures")
    return index


def _of_all(spark: SparkSession, index: Index, search: Search, k: int) -> DataFrame:
    """Each task asks for blocks of pictures and scans all parts itself: nothing is shuffled."""
    names = parts(index.packed)
    starts = [(name, start) for name in names for start in range(0, len(Part.open(name).ids), BLOCK)]
    blocks = [(number, *block) for number, block in enumerate(starts)]

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for name, start in zip(batch["name"].to_pylist(), batch["start"].to_pylist(), strict=True):
                yield _of_block(Part.open(name), start, search, k)

    asking = spark.createDataFrame(blocks, "number long, name string, start long")
    return asking.repartitionByRange(len(blocks), "number").drop("number").mapInArrow(find, STORED_ROW)


def _of_block(part: Part, start: int, search: Search, k: int) -> pa.RecordBatch:
    own = part.ids[start : start + BLOCK].astype(str).tolist()
    ids, distances = search.here(part.vectors[start : start + BLOCK], own, k)
    there = ids != b""
    offsets = [0, *there.sum(axis=1).cumsum().tolist()]
    others = pa.array(ids[there].astype(str).tolist(), pa.string())
    pairs = pa.StructArray.from_arrays([others, pa.array(distances[there])], ["id", "distance"])
    return pa.record_batch({"id": pa.array(own), "neighbours": pa.ListArray.from_arrays(offsets, pairs)})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="spark-submit jobs/neighbours.py", description=__doc__)
    parser.add_argument("--k", type=int, default=STORED, help="neighbours to store of each picture")
    parser.add_argument("--index-version", default=BUILT, help="a version, built or current")

    def step(options: argparse.Namespace) -> None:
        store_neighbours(DataRoot.from_env(), options.index_version, options.k)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
