"""Which way to 224 x 224 serves Stanford Cars best, by precision of exact neighbours: make bench-geometry."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.cars import labelled_precision
from jobs.catalog import build_catalog
from jobs.embed import embed_catalog
from jobs.embedder import GEOMETRIES, ImageEmbedder
from jobs.paths import DataRoot
from jobs.sources.stanford_cars import stanford_cars
from jobs.weights import load_weights


def main() -> int:
    weights = load_weights(os.environ.get("LOOKALIKE_WEIGHTS", "imagenet"))
    print("| geometry | precision@1 | precision@5 |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lookalike-geometry-") as folder:
        root = DataRoot(Path(folder))
        # Where the pictures must be downloaded, they stay in the data root for the next time.
        build_catalog(stanford_cars(DataRoot.from_env(), with_test=False), root)
        for geometry in GEOMETRIES:
            told = embed_catalog(root, ImageEmbedder(weights, geometry=geometry))
            precision = labelled_precision(root, told["fingerprint"], (1, 5))
            print(f"| {geometry} | {precision[1]:.3f} | {precision[5]:.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
