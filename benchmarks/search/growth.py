"""How time, memory and disk of the steps grow with the pictures, in a data root of clustered vectors."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measuring.process import in_process
from benchmarks.measuring.shown import number, say, table
from benchmarks.measuring.taken import PeakMemory, median_seconds, seconds
from benchmarks.search.clustered import clustered
from benchmarks.search.hashed import K, blocks
from jobs.calibrate import calibrate_vectors
from jobs.index import LshParams, build_index
from jobs.lsh.sketch import Floats
from jobs.search.opened import open_for_search
from jobs.spark.search import search_by_spark
from jobs.spark.session import spark_session
from jobs.store.catalog import SCHEMA, Beside, Row, catalog_folder, read_beside, read_catalog, write_catalog
from jobs.store.embeddings import Embedded, EmbeddingStore
from jobs.store.packed import draw
from jobs.store.root import DataRoot
from jobs.store.versions import BUILT, Index, open_index
from jobs.vectors import assemble_vectors

SEED = 0
FINGERPRINT = "0123456789abcdef"
MODEL = Embedded(
    architecture="none",
    layer="none",
    weights="clustered",
    weights_sha256="0" * 64,
    geometry="none",
    resize="none",
    precision="fp32",
    dimension=512,
    fingerprint=FINGERPRINT,
    title="no network",
    side=224,
    licence="none",
    resized="none",
)
BATCH, REPEATS, SINGLE_QUERIES = 1_000, 3, 9
ADDED, ADDED_TO = 0.01, 300_000
"""The share of pictures added, and the size of an index up to which that is tried: it takes two more runs."""
GB = 1e9


@dataclass(frozen=True)
class Grown:
    """The cost of one number of pictures: seconds, bytes, shares."""

    vectors: float
    calibrate: float
    index: float
    single: float
    """A query in a Spark job."""
    here: float
    """A query without Spark."""
    batch: float
    """``BATCH`` queries in a Spark job."""
    memory: float
    index_bytes: float
    root_bytes: float
    """The whole data root: embeddings, assembled vectors, index."""
    recall: float
    candidates: float
    added: float | None
    """Seconds of the step index if all but ``ADDED`` of the pictures keep their hashes; None if that was
    not tried, or the calibration was made again."""


COLUMNS: dict[str, Callable[[Grown], float]] = {
    "`vectors`, s": lambda grown: grown.vectors,
    "`calibrate`, s": lambda grown: grown.calibrate,
    "`index`, s": lambda grown: grown.index,
    "one query, ms": lambda grown: 1e3 * grown.single,
    "of which search, ms": lambda grown: 1e3 * grown.here,
    f"{BATCH:,} queries, s": lambda grown: grown.batch,
    "most memory, GB": lambda grown: grown.memory / GB,
    "index, GB": lambda grown: grown.index_bytes / GB,
    "data root, GB": lambda grown: grown.root_bytes / GB,
    "re-ranked, %": lambda grown: 100 * grown.candidates,
}


def show_growth(folder: Path, real: Floats, sizes: Sequence[int]) -> None:
    """Run the steps on each of ``sizes`` clustered vectors like the ``real`` ones, and print it."""
    by_size = {}
    for size in sizes:
        say(f"the steps on {size:,} pictures")
        root = DataRoot(folder / f"root-{size}")
        in_process(make_root, root, real, size)
        by_size[size] = in_process(run_steps, root)
        shutil.rmtree(root.root)
    _show(by_size)


def make_root(root: DataRoot, real: Floats, pictures: int) -> None:
    """Write catalog and embeddings of clustered vectors; there are no pictures."""
    file = root.root.with_suffix(".npy")
    vectors = clustered(file, pictures, real, SEED)
    ids = [hashlib.md5(str(number).encode()).hexdigest() for number in range(pictures)]
    store = EmbeddingStore(root.embeddings / FINGERPRINT)
    store.describe(MODEL)
    for rows in blocks(pictures):
        store.write(ids[rows], vectors[rows])
    file.unlink()
    same: Row = dict.fromkeys(SCHEMA.names)
    same |= {"split": "train", "size_bytes": 1_000, "stamp": "1", "status": "ok"}
    rows_of_all = (same | {"id": id_, "path": f"/pictures/{id_}.jpg"} for id_ in ids)
    counts = json.dumps({"source": "clustered", "files": pictures}).encode()
    write_catalog(rows_of_all, root, {"counts.json": counts})


def run_steps(root: DataRoot) -> Grown:
    """Run the steps, search the index, and build it again from one that lacks ``ADDED`` of the pictures."""
    with spark_session("benchmark") as spark:
        spark.range(1).count()
    memory = PeakMemory()
    with memory.sampled():
        vectors = seconds(lambda: assemble_vectors(root, FINGERPRINT))
        calibrate = seconds(lambda: calibrate_vectors(root))
        build = seconds(lambda: build_index(root, LshParams()))
        index = open_index(root, BUILT)
        single, here, batch = _ask(index)
    manifest = index.manifest()
    index_bytes, root_bytes = _size(index.folder), _size(root.root)
    added = _add(root, index) if manifest["images"] <= ADDED_TO else None
    return Grown(
        vectors=vectors,
        calibrate=calibrate,
        index=build,
        single=single,
        here=here,
        batch=batch,
        memory=memory.bytes,
        index_bytes=index_bytes,
        root_bytes=root_bytes,
        recall=manifest["recall"]["measured"],
        candidates=manifest["candidates_fraction"],
        added=added,
    )


def _ask(index: Index) -> tuple[float, float, float]:
    """Seconds of one query in a Spark job, of one without Spark, and of ``BATCH`` in a Spark job."""
    opened = open_for_search(index)
    ids, queries = draw(opened.parts, BATCH, SEED)

    def single_query(turn: int) -> tuple[Floats, list[str]]:
        return queries[turn : turn + 1], ids[turn : turn + 1]

    with spark_session("benchmark") as spark:
        single = median_seconds(
            lambda turn: search_by_spark(spark, opened, *single_query(turn), K), SINGLE_QUERIES
        )
        batch = median_seconds(lambda turn: search_by_spark(spark, opened, queries, ids, K), REPEATS)
    return single, median_seconds(lambda turn: opened.search(*single_query(turn), K), SINGLE_QUERIES), batch


def _add(root: DataRoot, index: Index) -> float | None:
    """Seconds of the step index if only ``ADDED`` of the pictures of ``index`` are new.

    None if the rest did not keep its hashes, because the calibration was made again.
    """
    name = catalog_folder(root).name
    catalog, beside = read_catalog(root, name), read_beside(root, name)
    _steps(root, catalog[: -round(ADDED * len(catalog))], beside)
    shutil.rmtree(index.folder)
    taken = _steps(root, catalog, beside)
    return taken if open_index(root, BUILT).manifest()["hashes_kept_of"] else None


def _steps(root: DataRoot, catalog: Sequence[Row], beside: Beside) -> float:
    """Run the steps on the pictures of ``catalog`` -> seconds of the step index."""
    write_catalog(catalog, root, beside)
    assemble_vectors(root, FINGERPRINT)
    calibrate_vectors(root)
    return seconds(lambda: build_index(root, LshParams()))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _show(by_size: dict[int, Grown]) -> None:
    rows = [
        [f"{size:,}", *(number(column(grown)) for column in COLUMNS.values()), f"{grown.recall:.3f}"]
        for size, grown in by_size.items()
    ]
    if len(by_size) > 1:
        # The cost of starting hides the growth among small sizes: the last two show more.
        rows.append(["power, fitted to all", *_powers(by_size), ""])
        rows.append(["power, the last two", *_powers(dict(list(by_size.items())[-2:])), ""])
    table("The steps on clustered vectors:", ["pictures", *COLUMNS, "recall@5"], rows)
    table(
        f"The step `index` if {ADDED:.0%} of the pictures are new:",
        ["pictures", "rebuilt, s", "the rest keeps its hashes, s", "ratio"],
        [
            [f"{size:,}", number(grown.index), number(grown.added), f"{grown.added / grown.index:.2f}"]
            for size, grown in by_size.items()
            if grown.added is not None
        ],
    )


def _powers(by_size: dict[int, Grown]) -> list[str]:
    """The slope of each column's logarithm over that of the pictures."""
    sizes = np.log(list(by_size))
    values = np.log([[column(grown) for column in COLUMNS.values()] for grown in by_size.values()])
    return [f"{slope:.2f}" for slope in np.polyfit(sizes, values, 1)[0]]
