"""Measure what an index is worth and tell it as a page: the DAG's task ``report``."""

from __future__ import annotations

import argparse
import csv
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.base.atomic import write_json, write_text
from jobs.base.errors import LookalikeError
from jobs.base.logs import run_step, section
from jobs.drawing.report_page import render
from jobs.lsh.quality import class_measures, histogram, hubness
from jobs.lsh.sketch import Floats, Sketch
from jobs.search.frontier import sketch_frontier, stock_frontier
from jobs.search.near_duplicates import near_duplicates, stored_neighbours
from jobs.search.search import exact_search, index_search
from jobs.store.packed import Part, draw, parts
from jobs.store.root import DataRoot, resized_file
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)

QUERIES = 5_000
FRONTIER_QUERIES = 200
DEEPEST = 100
"""R of R-precision and MAP@R is at most this; a class may hold half of all pictures."""
SHOWN_PAIRS, SHOWN_HUBS, SHOWN_GROUPS = 24, 6, 12


def write_report(root: DataRoot, version: str = BUILT) -> Path:
    """Write ``report.json`` and ``report.html`` into an index version; once there, they stay.

    Raises LookalikeError where there is no such index or its neighbours were not stored.
    """
    index = open_index(root, version)
    if index.report_file.exists():
        log.info(f"{index.report_file} is there already")
        return index.report_file
    if not index.neighbours.exists():
        raise LookalikeError(f"{index.neighbours} is missing: run the step neighbours first.")
    with section("report"):
        report = measure(root, index)
        write_json(index.report_file.with_suffix(".json"), report)
        geometry = report["model"]["geometry"]

        def thumbnail(id_: str) -> bytes | None:
            file = resized_file(root, geometry, id_)
            return file.read_bytes() if file.exists() else None

        write_text(index.report_file, render(report, thumbnail))
    log.info(f"report: {index.report_file}")
    return index.report_file


def measure(root: DataRoot, index: Index) -> dict[str, Any]:
    """All that ``report.json`` holds: the manifest's account of the index, and what is measured here."""
    manifest = index.manifest()
    captions = index.captions()
    all_ids = np.array([row["id"] for row in captions], "S32")
    drawn, queries = draw(index.packed, QUERIES, manifest["lsh"]["seed"] + 3)
    own = np.searchsorted(all_ids, np.array(drawn, "S32"))
    _, classes = np.unique([str(row["label"]) for row in captions], return_inverse=True)
    classes[[row["label"] is None for row in captions]] = -1
    others = np.bincount(classes[classes >= 0], minlength=1)[classes[own]] - 1
    others[classes[own] < 0] = 0
    k = manifest["recall"]["k"]
    deepest = min(DEEPEST, max(5, k, int(others.max())), len(captions) - 1)
    log.info(f"{len(drawn):,} queries, {deepest} neighbours of each, exactly and by the index")
    exact, distances = exact_search(index).here(queries, drawn, deepest)
    found, _ = index_search(index, deepest).here(queries, drawn, deepest)
    told = ("version", "created", "images", "search", "model", "lsh", "recall", "refined", "refined_fraction")
    report = {name: manifest[name] for name in told}
    report |= {name: manifest.get(name) for name in ("bytes_read", "clipped", "crossover")}
    report["frontier"] = _frontier(index, manifest, queries, own, np.searchsorted(all_ids, exact[:, :k]))
    report["distances"] = _distances(queries, distances[:, :5])
    labelled = others > 0
    report["semantics"] = None
    if labelled.any():
        measures = {
            name: asdict(
                class_measures(
                    classes[np.searchsorted(all_ids, ids[labelled])],
                    classes[own][labelled],
                    np.minimum(others[labelled], deepest),
                )
            )
            for name, ids in (("exact", exact), ("index", found))
        }
        chance = float((others[labelled] / (len(captions) - 1)).mean())
        counts = {"queries": int(labelled.sum()), "classes": int(classes.max()) + 1}
        report["semantics"] = {**counts, "chance": chance, **measures}
    neighbours, lengths = stored_neighbours(index, all_ids)
    report["hubness"] = _hubness(neighbours, captions)
    report["near_duplicates"] = _near_duplicates(neighbours, lengths, captions)
    report["same_bytes"] = _same_bytes(root)
    return report


def _frontier(
    index: Index, manifest: dict[str, Any], queries: Floats, own: NDArray[Any], true: NDArray[Any]
) -> dict[str, Any] | None:
    if manifest["search"] == "exact":
        return None
    opened = [Part.open(name) for name in parts(index.packed)]
    sketch = Sketch.load(index.sketch)
    few = slice(FRONTIER_QUERIES)
    return {
        "k": true.shape[1],
        "queries": len(own[few]),
        "sketch": sketch_frontier(opened, sketch, queries[few], own[few], true[few]),
        "stock": stock_frontier(opened, sketch, own[few], true[few]),
    }


def _distances(queries: Floats, nearest: Floats) -> dict[str, Any]:
    pairs = np.linalg.norm(queries[:-1] - queries[1:], axis=1)
    there = nearest[np.isfinite(nearest)]
    top = float(max(pairs.max(), there.max()))
    return {
        "neighbours": histogram(there, top),
        "random": histogram(pairs, top),
        "median_neighbour": float(np.median(there)),
        "median_random": float(np.median(pairs)),
    }


def _hubness(neighbours: NDArray[Any], captions: list[dict[str, Any]]) -> dict[str, Any]:
    times = np.bincount(neighbours.ravel(), minlength=len(captions))
    hubs = [
        {**captions[row], "times": int(times[row])} for row in np.argsort(-times, kind="stable")[:SHOWN_HUBS]
    ]
    return {"k": neighbours.shape[1], **hubness(times), "hubs": hubs}


def _near_duplicates(
    neighbours: NDArray[Any], distances: Floats, captions: list[dict[str, Any]]
) -> dict[str, Any]:
    threshold, pairs = near_duplicates(neighbours, distances)

    def conflict(pair: tuple[int, int]) -> bool:
        labels = {captions[row]["label"] for row in pair} - {None}
        return len(labels) > 1

    order = sorted(pairs, key=lambda pair: (not conflict(pair), pairs[pair], pair))
    return {
        "threshold": threshold,
        "pairs": len(pairs),
        "conflicting": sum(map(conflict, pairs)),
        "shown": [
            {
                "distance": pairs[pair],
                "conflict": conflict(pair),
                "first": captions[pair[0]],
                "second": captions[pair[1]],
            }
            for pair in order[:SHOWN_PAIRS]
        ],
    }


def _same_bytes(root: DataRoot) -> dict[str, Any]:
    """Files of the same bytes, as the catalog found them; those with conflicting labels first."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (root.catalog / "duplicates.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups[row["id"]].append(row)
    shown = [
        {
            "paths": [row["path"] for row in rows],
            "labels": [row["label"] or None for row in rows],
            "conflict": rows[0]["conflict"] == "True",
        }
        for rows in groups.values()
    ]
    shown.sort(key=lambda group: not group["conflict"])
    conflicting = sum(bool(group["conflict"]) for group in shown)
    return {"groups": len(shown), "conflicting": conflicting, "shown": shown[:SHOWN_GROUPS]}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.report", description=__doc__)
    parser.add_argument("--index-version", default=BUILT, help="a version, built or current")

    def step(options: argparse.Namespace) -> None:
        write_report(DataRoot.from_env(), options.index_version)

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
