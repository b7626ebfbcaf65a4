"""Which geometry is best for Stanford Cars, by the precision of exact neighbours: make bench-geometry."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measuring.real import catalog_cars, embed_cars
from jobs.base.options import GEOMETRY
from jobs.lsh.nearest import nearest_others
from jobs.lsh.quality import ClassMeasures, class_measures
from jobs.store.catalog import read_catalog
from jobs.store.embeddings import EmbeddingStore
from jobs.store.root import DataRoot


def measure(root: DataRoot, fingerprint: str) -> ClassMeasures:
    """Every picture is a query; R is 5, the number of neighbours."""
    labels = {row["id"]: row["label"] for row in read_catalog(root)}
    ids, embeddings = EmbeddingStore(root.embeddings / fingerprint).read()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    _, classes = np.unique([labels[id_] for id_ in ids], return_inverse=True)
    return class_measures(classes[nearest_others(unit, unit, 5)], classes, np.full(len(ids), 5))


def main() -> int:
    print("| geometry | precision@1 | precision@5 |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lookalike-geometry-") as folder:
        root = DataRoot(Path(folder))
        catalog_cars(root)
        for geometry in GEOMETRY.choices or ():
            measures = measure(root, embed_cars(root, geometry))
            print(
                f"| {geometry} | {measures.precision_at_1:.3f} | {measures.precision_at_5:.3f} |", flush=True
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
