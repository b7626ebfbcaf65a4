"""Measure the quality of an index and write it as a page: the DAG's task ``report``."""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.base.atomic import write_text
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.logs import section
from jobs.drawing.report_page import render
from jobs.lsh.quality import class_measures, histogram, hubness
from jobs.lsh.sketch import Floats
from jobs.search.frontier import sketch_frontier, stock_frontier
from jobs.search.near_duplicates import near_duplicates
from jobs.search.opened import OpenIndex, open_for_search
from jobs.store.catalog import read_duplicates
from jobs.store.manifest import Manifest
from jobs.store.neighbours import read_neighbours
from jobs.store.packed import draw
from jobs.store.reading import is_whole
from jobs.store.reports import check_report, write_report_document
from jobs.store.root import CURRENT, DataRoot, resized_file
from jobs.store.versions import BUILT, Index, open_index

log = logging.getLogger(__name__)

QUERIES = 5_000
FRONTIER_QUERIES = 200
DEEPEST = 100
"""The largest R of R-precision and MAP@R, because a class may hold half of all pictures."""
SHOWN_PAIRS, SHOWN_HUBS, SHOWN_GROUPS = 24, 6, 12


def write_report(root: DataRoot, version: str = BUILT) -> Path:
    """Write ``report.json`` and ``report.html`` into an index version; existing ones are kept.

    Raises LookalikeError if there is no such index or its neighbours were not stored.
    """
    index = open_index(root, version)
    if is_whole(index.report_file, lambda: check_report(index)):
        log.info(f"{index.report_file} exists already")
        return index.report_file
    if not index.neighbours.exists():
        raise LookalikeError(f"{index.neighbours} is missing: run the step neighbours first.")
    index.verify(content=True)  # what is measured on damaged files would be published as the truth
    with section("report"):
        report = measure(root, index)
        write_report_document(index, report)
        resized = report["model"]["resized"]

        def thumbnail(id_: str) -> bytes | None:
            file = resized_file(root, resized, id_)
            return file.read_bytes() if file.exists() else None

        write_text(index.report_file, render(report, thumbnail))
    log.info(f"report: {index.report_file}")
    return index.report_file


def measure(root: DataRoot, index: Index) -> dict[str, Any]:
    """The content of ``report.json``: what the manifest says about the index, and what is measured here."""
    manifest = index.manifest()
    captions = index.captions()
    all_ids = np.array([row["id"] for row in captions], "S32")
    opened = open_for_search(index)
    drawn, queries = draw(opened.parts, QUERIES, manifest["lsh"]["seed"] + 3)
    own = np.searchsorted(all_ids, np.array(drawn, "S32"))
    _, classes = np.unique([str(row["label"]) for row in captions], return_inverse=True)
    classes[[row["label"] is None for row in captions]] = -1
    others = np.bincount(classes[classes >= 0], minlength=1)[classes[own]] - 1
    others[classes[own] < 0] = 0
    k = manifest["recall"]["k"]
    deepest = min(DEEPEST, max(5, k, int(others.max())), len(captions) - 1)
    log.info(f"{len(drawn):,} queries, {deepest} neighbours each, exactly and by the index")
    exact, distances = opened.search(queries, drawn, deepest, exact=True)
    by_index, _ = opened.search(queries, drawn, deepest)
    report: dict[str, Any] = {
        "version": manifest["version"],
        "created": manifest["created"],
        "images": manifest["images"],
        "search": manifest["search"],
        "model": manifest["model"],
        "lsh": manifest["lsh"],
        "recall": manifest["recall"],
        "candidates": manifest["candidates"],
        "candidates_fraction": manifest["candidates_fraction"],
        "bytes_read": manifest["bytes_read"],
        "clipped": manifest.get("clipped"),
    }
    report["collection"] = _collection(manifest, classes)
    neighbours, lengths = read_neighbours(index, all_ids)
    report["stored"] = _stored(neighbours[own], np.searchsorted(all_ids, exact))
    report["frontier"] = _frontier(opened, queries, own, np.searchsorted(all_ids, exact[:, :k]))
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
            for name, ids in (("exact", exact), ("index", by_index))
        }
        chance = float((others[labelled] / (len(captions) - 1)).mean())
        counts = {"queries": int(labelled.sum()), "classes": int(classes.max()) + 1}
        report["semantics"] = {**counts, "chance": chance, **measures}
    report["hubness"] = _hubness(neighbours, captions)
    report["near_duplicates"] = _near_duplicates(neighbours, lengths, captions)
    report["same_bytes"] = _same_bytes(root, manifest["catalog"])
    return report


def _collection(manifest: Manifest, classes: NDArray[Any]) -> dict[str, Any]:
    """What the index is of. ``classes`` are numbers from 0, -1 without a label."""
    source = manifest["source"]
    return {
        "source": source["source"],
        "classes": len(np.unique(classes[classes >= 0])),
        "unlabelled": int((classes < 0).sum()),
        "quarantined": source.get("quarantined", 0),
        "unmatched_rows": source.get("unmatched_rows", 0),
    }


def _stored(stored: NDArray[Any], true: NDArray[Any]) -> dict[str, Any]:
    """Recall of the neighbours that the pages show: rows of them, and of the true ones, per query."""
    k = min(stored.shape[1], true.shape[1])
    hits = (stored[:, :k, None] == true[:, None, :k]).any(axis=2)
    return {"k": k, "recall": float(hits.mean())}


def _frontier(
    opened: OpenIndex, queries: Floats, own: NDArray[Any], true: NDArray[Any]
) -> dict[str, Any] | None:
    parts, sketch = opened.parts, opened.sketch
    if sketch is None:
        return None
    few = slice(FRONTIER_QUERIES)
    return {
        "k": true.shape[1],
        "queries": len(own[few]),
        "sketch": sketch_frontier(parts, sketch, queries[few], own[few], true[few]),
        "stock": stock_frontier(parts, sketch, own[few], true[few]),
    }


def _distances(queries: Floats, nearest: Floats) -> dict[str, Any]:
    pairs = np.linalg.norm(queries[:-1] - queries[1:], axis=1)
    finite = nearest[np.isfinite(nearest)]
    top = float(max(pairs.max(), finite.max()))
    return {
        "neighbours": histogram(finite, top),
        "random": histogram(pairs, top),
        "median_neighbour": float(np.median(finite)),
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


def _same_bytes(root: DataRoot, catalog: str) -> dict[str, Any]:
    """Files with the same bytes, from the catalog; those with conflicting labels first."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_duplicates(root, catalog):
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
    parser = step_parser("python -m jobs.report", __doc__)
    add_name(parser, "--index-version", "the index version", BUILT, CURRENT)

    def step(given: argparse.Namespace) -> dict[str, str]:
        return {"report": str(write_report(DataRoot.from_env(), given.index_version))}

    return run_step(parser, step, argv)


if __name__ == "__main__":
    raise SystemExit(main())
