"""Other libraries' indexes against the packed hashes, each with the least effort that reaches the target."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faiss
import hnswlib
import numpy as np

from benchmarks.measuring.process import ONE_THREAD, in_process
from benchmarks.measuring.shown import number, say, table
from benchmarks.measuring.taken import median_seconds
from benchmarks.search.clustered import clustered
from benchmarks.search.hashed import TARGET, Calibrated, K, calibrate
from jobs.lsh.nearest import nearest_by_sketch, nearest_exactly
from jobs.lsh.sketch import Floats, Rows

SEED = 0
QUERIES, TUNED, SINGLE_QUERIES, REPEATS = 1_000, 500, 200, 3
LISTS, LINKS, BUILD_EFFORT = 256, 32, 200
"""IVF's lists; HNSW's M and efConstruction."""

OURS = "packed hashes"

Search = Callable[[Floats, int], Rows]
"""(q, 512) queries and an effort -> (q, K) rows of the nearest, ascending by distance."""


@dataclass(frozen=True)
class Index:
    """A built index; its search finds more with more effort."""

    search: Search
    resident: float
    """Bytes per vector that must be in memory."""
    effort: str = ""
    """What the effort is called; empty if there is none to choose."""
    most: int = 1


@dataclass(frozen=True)
class Peer:
    """The cost of one index: seconds, and seconds per query."""

    effort: str
    recall: float
    build: float
    single: float
    batch: float
    resident: float


def show_peers(folder: Path, real: Floats, pictures: int) -> None:
    """Measure each on ``pictures`` clustered vectors like the ``real`` ones, with one thread; print it."""
    say(f"other libraries' indexes of {pictures:,} vectors")
    file = folder / "peers.npy"
    clustered(file, pictures + QUERIES, real, SEED)
    peers, calibrating = in_process(measure_peers, file, environment=ONE_THREAD)
    file.unlink()
    ours = peers[OURS]
    table(
        f"{pictures:,} clustered vectors, one thread, the least effort with recall@{K} of {TARGET} or more "
        f"over {TUNED} queries that are not among them. Calibrating the packed hashes took "
        f"{number(calibrating)} s before.",
        [
            "index",
            "least effort",
            f"recall@{K}",
            "built in, s",
            "one query, ms",
            "times the packed hashes",
            f"{QUERIES:,} at once, ms per query",
            "times the packed hashes",
            "bytes per vector in memory",
        ],
        [
            [
                name,
                peer.effort,
                f"{peer.recall:.3f}",
                number(peer.build),
                number(1e3 * peer.single),
                number(peer.single / ours.single),
                number(1e3 * peer.batch),
                number(peer.batch / ours.batch),
                number(peer.resident),
            ]
            for name, peer in peers.items()
        ],
    )


def measure_peers(file: Path) -> tuple[dict[str, Peer], float]:
    """Build and search each index on the vectors of ``file``, the last of which are the queries.

    Also returns the seconds that calibrating took, which an index of similar vectors need not repeat.
    """
    drawn = np.load(file)
    vectors, queries = drawn[:-QUERIES], drawn[-QUERIES:]
    true = nearest_exactly(vectors, queries[:TUNED], K)[0]
    started = time.perf_counter()
    calibrated = calibrate(vectors, SEED)
    calibrating = time.perf_counter() - started
    builders: dict[str, Callable[[Floats], Index]] = {
        OURS: partial(_packed_hashes, calibrated),
        "every vector": _every_vector,
        "faiss IndexFlatL2": _faiss_flat,
        f"faiss IndexIVFFlat, {LISTS} lists": _faiss_ivf,
        f"faiss IndexHNSWFlat, M = {LINKS}": _faiss_hnsw,
        f"hnswlib, M = {LINKS}": _hnswlib,
    }
    peers = {}
    for name, build in builders.items():
        say(name)
        peers[name] = _measure(build, vectors, queries, true)
    return peers, calibrating


def _measure(build: Callable[[Floats], Index], vectors: Floats, queries: Floats, true: Rows) -> Peer:
    started = time.perf_counter()
    index = build(vectors)
    built = time.perf_counter() - started
    # Each effort is a tenth more than the last.
    for effort in np.unique(np.geomspace(1, index.most, 1 + round(math.log(index.most, 1.1))).astype(int)):
        rows = index.search(queries[:TUNED], int(effort))
        recall = float((rows[:, :, None] == true[:, None]).any(axis=1).mean())
        if recall >= TARGET:
            break
    single = median_seconds(lambda turn: index.search(queries[turn : turn + 1], int(effort)), SINGLE_QUERIES)
    batch = median_seconds(lambda turn: index.search(queries, int(effort)), REPEATS)
    named = f"{index.effort} {effort}" if index.effort else ""
    return Peer(named, recall, built, single, batch / len(queries), index.resident)


def _packed_hashes(calibrated: Calibrated, vectors: Floats) -> Index:
    hashes = calibrated.hash(vectors)

    def search(queries: Floats, candidates: int) -> Rows:
        return nearest_by_sketch(hashes.sketch, hashes.codes, hashes.norms, vectors, queries, K, candidates)[
            0
        ]

    # The vectors may stay on disk: only candidates are read.
    return Index(search, hashes.sketch.row_bytes, "candidates", len(vectors))


def _every_vector(vectors: Floats) -> Index:
    return Index(lambda queries, _: nearest_exactly(vectors, queries, K)[0], vectors[0].nbytes)


def _faiss_flat(vectors: Floats) -> Index:
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    return Index(lambda queries, _: index.search(queries, K)[1], _faiss_bytes(index))


def _faiss_ivf(vectors: Floats) -> Index:
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(vectors.shape[1]), vectors.shape[1], LISTS)
    index.train(vectors)
    index.add(vectors)

    def search(queries: Floats, probes: int) -> Rows:
        index.nprobe = probes
        rows: Rows = index.search(queries, K)[1]
        return rows

    return Index(search, _faiss_bytes(index), "nprobe", LISTS)


def _faiss_hnsw(vectors: Floats) -> Index:
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS)
    index.hnsw.efConstruction = BUILD_EFFORT
    index.add(vectors)

    def search(queries: Floats, effort: int) -> Rows:
        index.hnsw.efSearch = effort
        rows: Rows = index.search(queries, K)[1]
        return rows

    return Index(search, _faiss_bytes(index), "efSearch", len(vectors))


def _faiss_bytes(index: faiss.Index) -> float:
    stored: float = len(faiss.serialize_index(index)) / index.ntotal
    return stored


def _hnswlib(vectors: Floats) -> Index:
    index = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors), LINKS, BUILD_EFFORT)
    index.set_num_threads(1)
    index.add_items(vectors)

    def search(queries: Floats, effort: int) -> Rows:
        index.set_ef(effort)
        rows: Rows = index.knn_query(queries, K)[0].astype(np.int64)
        return rows

    return Index(search, index.index_file_size() / len(vectors), "ef", len(vectors))
