"""Fifty viewers paging the gallery at once, against Airflow's own list of DAGs: make bench-viewers."""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from PIL import Image

from benchmarks.measuring.shown import say, table
from jobs.embedding.backbones import RESNET18
from jobs.embedding.model import RESIZED_QUALITY, Model
from jobs.embedding.weights import find_weights
from jobs.gallery import lay_out_gallery
from jobs.store.gallery import ALL, open_gallery
from jobs.store.manifest import Manifest
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import Index, point_to_index
from plugins.pages.app import PAGE
from tests.support.airflow_server import Server, running_airflow

VERSION = "0" * 16
CLASSES, NEIGHBOURS = 196, 10
REFERENCE = "Airflow's list of DAGs"
PAUSE_S = 1.0
"""Between two pages, like a person who pages through quickly."""


def make_gallery(root: DataRoot, pictures: int) -> Index:
    """Publish an index that has only a gallery: random neighbours, the same picture in all tiles."""
    index, random = Index(root.index / VERSION), np.random.default_rng(0)
    index.neighbours.mkdir(parents=True)
    ids = [f"{number:032x}" for number in range(pictures)]
    names = [f"Class {number % CLASSES:03d}" for number in range(pictures)]
    captions = {
        "id": ids,
        "path": [f"/pictures/{id_}.jpg" for id_ in ids],
        "label": names,
        "class_name": names,
    }
    pq.write_table(pa.table(captions), index.captions_file)
    others = random.integers(0, pictures, (pictures, NEIGHBOURS))
    distances = np.sort(random.uniform(0.4, 0.9, (pictures, NEIGHBOURS)).astype(np.float32))
    pairs = [
        [{"id": ids[other], "distance": float(length)} for other, length in zip(row, lengths, strict=True)]
        for row, lengths in zip(others.tolist(), distances, strict=True)
    ]
    pq.write_table(pa.table({"id": ids, "neighbours": pairs}), index.neighbours / "part.parquet")
    model = Model(RESNET18, find_weights("random", RESNET18))
    catalog = root.catalog / VERSION
    catalog.mkdir(parents=True)
    (catalog / "duplicates.csv").write_text("id,path,label,conflict\n")
    index.record(_manifest(model, pictures))
    point_to_index(root, CURRENT, index)
    lay_out_gallery(root, VERSION)
    noise = Image.fromarray(random.integers(0, 256, (28, 28, 3), np.uint8)).resize(
        (RESNET18.side, RESNET18.side)
    )
    with open_gallery(index) as gallery:
        for shown in gallery.page(ALL, False, 1, PAGE).pictures:
            file = resized_file(root, model.resized, shown["id"])
            file.parent.mkdir(parents=True, exist_ok=True)
            noise.save(file, quality=RESIZED_QUALITY)
    return index


def _manifest(model: Model, pictures: int) -> Manifest:
    """The manifest of an index that is never searched."""
    return {
        "version": VERSION,
        "created": "2000-01-01T00:00:00+00:00",
        "images": pictures,
        "dimension": RESNET18.dimension,
        "model": {**model.description, "runtimes": []},
        "vectors": VERSION,
        "calibration": VERSION,
        "catalog": VERSION,
        "source": {"source": "none"},
        "lsh": {"num_hash_tables": 1, "bucket_length": 1.0, "seed": 0, "reduced_dimension": None},
        "hashes_kept_of": None,
        "spark": "none",
        "search": "exact",
        "candidates": 1,
        "candidates_fraction": 1.0,
        "bytes_read": 1.0,
        "recall": {"k": 5, "target": 1.0, "measured": 1.0, "lower_bound": 1.0, "queries": 0},
        "files": {},
    }


@dataclass
class Seen:
    """What viewers measured: seconds per request, and answers other than 200."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def share(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent)) * 1_000 if self.seconds else float("nan")


def view(server: Server, viewers: int, seconds: float, address: Callable[[int, int], str]) -> Seen:
    """``viewers`` request ``address(viewer, turn)`` at once, each with a pause between two requests."""
    seen, end = Seen(), time.monotonic() + seconds

    def leaf(viewer: int) -> None:
        with requests.Session() as session:
            session.cookies.set("_token", server.token)
            time.sleep(PAUSE_S * viewer / viewers)
            turn = 0
            while time.monotonic() < end:
                started = time.monotonic()
                try:
                    status = session.get(server.base + address(viewer, turn), timeout=30).status_code
                except requests.RequestException as error:
                    seen.errors.append(type(error).__name__)
                else:
                    seen.seconds.append(time.monotonic() - started)
                    if status != 200:
                        seen.errors.append(str(status))
                turn += 1
                time.sleep(PAUSE_S)

    threads = [threading.Thread(target=leaf, args=(viewer,)) for viewer in range(viewers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def _sizes(folder: Path, sizes: Sequence[int]) -> list[list[str]]:
    """The time to read one page in galleries of several sizes, as ratios to the first."""
    costs = []
    for pictures in sizes:
        index = make_gallery(DataRoot(folder / str(pictures)), pictures)
        numbers = np.random.default_rng(1).integers(1, pictures // PAGE + 1, 300).tolist()
        started = time.perf_counter()
        for number in numbers:
            with open_gallery(index) as gallery:
                gallery.page(ALL, False, number, PAGE)
        costs.append((time.perf_counter() - started) / len(numbers))
    return [[f"{size:,}", f"{cost / costs[0]:.2f}"] for size, cost in zip(sizes, costs, strict=True)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.viewers", description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pictures", type=int, default=10_000)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="lookalike-viewers-") as name:
        folder = Path(name)
        say("lay out galleries")
        sizes = _sizes(folder, [1_000, 10_000, 100_000])
        root = DataRoot(folder / "data")
        index = make_gallery(root, options.pictures)
        with open_gallery(index) as gallery:
            shown = [row["id"] for row in gallery.page(ALL, False, 1, PAGE).pictures]
        pages = options.pictures // PAGE
        prefix = "/lookalike"
        addresses: dict[str, Callable[[int, int], str]] = {
            "the gallery": lambda viewer, turn: f"{prefix}/?page={1 + (7 * viewer + turn) % pages}",
            "a picture of it": lambda viewer, turn: (
                f"{prefix}/versions/{VERSION}/pictures/{shown[(viewer + turn) % len(shown)]}.jpg"
            ),
            REFERENCE: lambda viewer, turn: "/api/v2/dags?limit=50",
        }
        seen = {}
        with running_airflow(folder / "airflow", LOOKALIKE_DATA=str(root.root)) as server:
            for what, address in addresses.items():
                say(f"{options.viewers} viewers, {options.seconds:.0f} s: {what}")
                seen[what] = view(server, options.viewers, options.seconds, address)
    reference = seen[REFERENCE].share(95)
    table(
        f"{options.viewers} viewers for {options.seconds:.0f} s each, {PAUSE_S:.0f} s between two requests:",
        ["what", "requests", "errors", "median, ms", "p95, ms", "p95 against Airflow's list"],
        [
            [
                what,
                f"{len(result.seconds):,}",
                f"{len(result.errors)} {' '.join(sorted(set(result.errors)))}".strip(),
                f"{result.share(50):.0f}",
                f"{result.share(95):.0f}",
                f"{result.share(95) / reference:.2f}",
            ]
            for what, result in seen.items()
        ],
    )
    table("Reading a page of 60, against the smallest gallery:", ["pictures", "ratio"], sizes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
