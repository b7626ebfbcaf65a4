"""The whole DAG on Stanford Cars: time per step, recall, precision, and the frontier: make bench-cars."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from jobs.drawing.palette import CARD
from jobs.drawing.report_plots import plots
from jobs.drawing.svg import PALETTE
from jobs.store.catalog import read_counts
from jobs.store.root import PROJECT, DataRoot
from jobs.store.versions import open_index
from scripts.dag_run import run_dag

FRONTIER = PROJECT / "docs" / "frontier.svg"


def draw_frontier(report: dict[str, Any], target: Path) -> None:
    """Write the report's plot of recall against the share re-ranked as a separate picture."""
    svg = plots(report)["frontier"].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    for variable, colour in PALETTE.items():
        svg = svg.replace(f"var(--{variable})", colour)
    ground = f'<rect width="100%" height="100%" rx="10" fill="{CARD}"/>'
    style = "<style>text { font-family: system-ui, sans-serif }</style>"
    target.write_text(svg.replace(">", f">{ground}{style}", 1), encoding="utf-8")


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
        index = open_index(root)
        manifest = index.manifest()
        report = json.loads(index.report_file.with_suffix(".json").read_text(encoding="utf-8"))
        draw_frontier(report, FRONTIER)
        counts = read_counts(root)
        print(f"\n| pictures | {manifest['images']:,} |\n|---|---|")
        for name in ("files", "labelled", "quarantined", "unmatched_rows", "duplicate_files"):
            print(f"| {name.replace('_', ' ')} | {counts[name]:,} |")
        for task, seconds in run.seconds.items():
            print(f"| `{task}` | {seconds:.0f} s |")
        recall = manifest["recall"]
        print(f"| recall@{recall['k']} | {recall['measured']:.3f}, at least {recall['lower_bound']:.3f} |")
        print(f"| re-ranked per query | {manifest['candidates_fraction']:.2%} |")
        print("\n| | precision@1 | precision@5 | R-precision | MAP@R |\n|---|---|---|---|---|")
        for way in ("exact", "index"):
            print(
                "| "
                + " | ".join([way, *(f"{share:.3f}" for share in report["semantics"][way].values())])
                + " |"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
