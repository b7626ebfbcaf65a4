"""Measures of neighbours: by class, by how often a picture is named, by how near pairs lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import skew

from jobs.lsh.sketch import Floats

Ints = NDArray[np.int64]

TIE = 1e-6
"""A neighbour this share farther than the true k-th counts as found: the two are tied."""


def recalls(found: Floats, exact: Floats) -> NDArray[np.float64]:
    """The share of the true neighbours that each query found, both by (q, k) distances."""
    there = np.isfinite(exact).sum(axis=1)
    farthest = np.where(np.isfinite(exact), exact, -np.inf).max(axis=1, keepdims=True)
    share: NDArray[np.float64] = (found <= farthest * (1 + TIE)).sum(axis=1) / there
    return share


@dataclass(frozen=True)
class ClassMeasures:
    """How often neighbours are of the query's class, R being the other pictures of that class.

    Precision@k: their share among the k nearest. R-precision: among the R nearest. MAP@R: the mean over
    the R nearest of the precision up to each one that is of the class, nothing for the others
    (Musgrave et al., A Metric Learning Reality Check, 2020).
    """

    precision_at_1: float
    precision_at_5: float
    r_precision: float
    map_at_r: float


def class_measures(found: Ints, own: Ints, others: Ints) -> ClassMeasures:
    """Measure neighbours of classes ``found`` (q, m) of queries of classes ``own`` (q,).

    ``others`` (q,), from 1 to m, is R. A class below 0 is unknown and equals none.
    """
    same = (found == own[:, None]) & (found >= 0)
    places = np.arange(1, found.shape[1] + 1)
    within = places <= others[:, None]
    precision = same.cumsum(axis=1) / places
    return ClassMeasures(
        float(same[:, 0].mean()),
        float(same[:, :5].mean()),
        float(((same & within).sum(axis=1) / others).mean()),
        float(((precision * (same & within)).sum(axis=1) / others).mean()),
    )


def hubness(times: Ints, longest: int = 30) -> dict[str, Any]:
    """How unevenly pictures are named as neighbours; ``times`` (n,) is how often each one is.

    Skewness as Radovanovic et al. (Hubs in Space, 2010) measure it; ``occurrences[i]`` pictures are
    named i times, the last one that often or more.
    """
    capped = np.bincount(np.minimum(times, longest), minlength=longest + 1)
    return {
        "skewness": float(skew(times)) if times.std() > 0 else 0.0,
        "most": int(times.max()),
        "never": float((times == 0).mean()),
        "occurrences": capped[: max(times.max(), 1) + 1].tolist(),
    }


def histogram(values: NDArray[Any], top: float, bins: int = 60) -> dict[str, list[float]]:
    """``edges`` (bins + 1) from 0 to ``top`` and ``counts``."""
    counts, edges = np.histogram(values, bins=bins, range=(0.0, top))
    return {"edges": edges.tolist(), "counts": counts.tolist()}
