"""The whole DAG on Stanford Cars: time a step, quarantined pictures, precision: make bench-cars."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.precision import precision_at
from jobs.catalog import read_catalog, read_counts
from jobs.embeddings import EmbeddingStore
from jobs.manifest import open_index
from jobs.paths import DataRoot
from scripts.dag_run import run_dag


def labelled_precision(root: DataRoot, fingerprint: str, ks: Sequence[int]) -> dict[int, float]:
    """Precision of the embeddings of one model over the catalog's labelled pictures."""
    labels = {row["id"]: row["label"] for row in read_catalog(root) if row["label"] is not None}
    ids, embeddings = EmbeddingStore(root.embeddings / fingerprint).read()
    kept = [number for number, id_ in enumerate(ids) if id_ in labels]
    return precision_at(embeddings[kept], [labels[ids[number]] for number in kept], ks)


def main() -> int:
    conf: dict[str, Any] = {
        "source": "stanford_cars",
        "weights": os.environ.get("LOOKALIKE_WEIGHTS", "imagenet"),
    }
    with tempfile.TemporaryDirectory(prefix="lookalike-cars-") as folder:
        os.environ["LOOKALIKE_DATA"] = folder
        root = DataRoot.from_env()
        run = run_dag("similarity_index", conf, Path(folder, "airflow"), lambda line: print(line, flush=True))
        if not run.succeeded:
            return 1
        manifest = open_index(root).manifest()
        precision = labelled_precision(root, manifest["model"]["fingerprint"], (1, 5))
        counts = read_counts(root)
        print(f"\n| pictures | {manifest['images']:,} |\n|---|---|")
        for name in ("files", "labelled", "quarantined", "unmatched_rows", "duplicate_files"):
            print(f"| {name.replace('_', ' ')} | {counts[name]:,} |")
        for task, seconds in run.seconds.items():
            print(f"| `{task}` | {seconds:.0f} s |")
        recall = manifest["recall"]
        print(f"| recall@{recall['k']} | {recall['measured']:.3f}, at least {recall['lower_bound']:.3f} |")
        print(f"| compared truly a query | {manifest['refined_fraction']:.2%} |")
        for k, share in precision.items():
            print(f"| precision@{k} | {share:.3f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
