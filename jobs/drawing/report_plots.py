"""Draw the plots of the quality report."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from jobs.base.text import percent
from jobs.drawing.palette import CARD, INK, OTHER, QUERY, QUIET, SAME, WRONG
from jobs.drawing.svg import BOTTOM, STYLE, TOP, new_axes, note, percents, svg


def plots(report: dict[str, Any]) -> dict[str, str]:
    """Draw every plot that ``report`` has data for, each an ``<svg>`` by its name."""
    drawn = {}
    with matplotlib.rc_context(STYLE):
        if report["frontier"]:
            drawn["frontier"] = _frontier(report)
        if report["recall"].get("distribution"):
            drawn["spread"] = _spread(report["recall"])
        if report["distances"]:
            drawn["distances"] = _distances(report["distances"])
        if report["semantics"]:
            drawn["classes"] = _classes(report["semantics"])
        if report["hubness"]:
            drawn["hubs"] = _hubs(report["hubness"])
    return drawn


def _frontier(report: dict[str, Any]) -> str:
    frontier, recall = report["frontier"], report["recall"]
    chosen = (report["candidates_fraction"], recall["measured"])
    # A logarithmic axis has no place for a table in which no two pictures share a bucket.
    sketch, stock = (
        sorted(point for point in frontier[name] if point[0] > 0) for name in ("sketch", "stock")
    )
    points = [(point[0], point[1]) for point in [*sketch, *stock, chosen]]
    left = min(share for share, _ in points) * 0.8
    low = math.floor(10 * min(0.9, recall["target"], *(recall_at for _, recall_at in points))) / 10

    axes = new_axes(340)
    axes.set_xscale("log")
    axes.set_xlim(left, 1.12)
    axes.set_ylim(low, 1 + 0.1 * (1 - low))
    axes.axhline(recall["target"], color=WRONG, lw=1, dashes=(4, 3))
    axes.set_title(f"- - target {percent(recall['target'])}", loc="right", color=WRONG)
    if stock:
        axes.plot(
            *zip(*[point[:2] for point in stock], strict=True),
            "o-",
            color=QUIET,
            lw=1.5,
            ms=5,
            markevery=[0, -1],
        )
        own = ["Spark's own search,", f"{stock[0][2]} to {stock[-1][2]} hash tables"]
        half = min(stock, key=lambda point: abs(point[1] - (low + 1) / 2))
        offset, ha = ((-12, 12), "right") if half[0] > left**0.5 else ((12, -12), "left")
        note(axes, own, half[:2], offset, ha=ha)
    if sketch:
        axes.plot(*zip(*sketch, strict=True), "-", color=QUERY, lw=2.5)
        # At a level part of the line, but left of the label "exact search".
        level = max([point for point in sketch if point[0] < 0.25] or sketch[:1])
        note(axes, ["ranked by decoded hashes"], level, (0, 9), color=QUERY, weight="bold", ha="right")
    axes.plot(1, 1, "o", color=CARD, mec=INK, mew=2, ms=9, clip_on=False)
    note(axes, ["exact search"], (1, 1), (0, 10), color=INK, ha="right")
    colour = SAME if recall["lower_bound"] >= recall["target"] else WRONG
    axes.plot(*chosen, "o", color=colour, mec=CARD, mew=2, ms=13)
    plain = [f"compares {percent(chosen[0])} of the pictures,", f"finds {percent(chosen[1], down=True)}"]
    # Below the dot, and also below the target's line if that is close.
    gap = (chosen[1] - recall["target"]) / (1.1 * (1 - low)) * (340 - TOP - BOTTOM)
    drop = -18 - gap if 8 < gap < 40 else -26
    offset, ha = ((-12, drop), "right") if chosen[0] > left**0.5 else ((12, drop), "left")
    note(axes, plain, chosen, offset, color=colour, weight="bold", ha=ha)
    axes.set_title(f"recall@{frontier['k']}")
    axes.set_xlabel("pictures compared by exact distance, share of all (logarithmic)")
    axes.xaxis.set_minor_locator(NullLocator())
    percents(axes.xaxis)
    percents(axes.yaxis)
    axes.grid(axis="y", color=OTHER, alpha=0.4, lw=0.8)
    return svg(axes, "frontier", f"Recall against pictures compared: {' '.join(plain)}")


def _spread(recall: dict[str, Any]) -> str:
    counts, k = recall["distribution"], recall["k"]
    shares = [count / max(1, sum(counts)) for count in counts]
    least = math.floor(recall["p10"] * k + 1e-9)

    axes = new_axes(290)
    colours = [SAME if count == k else QUERY if count >= least else WRONG for count in range(k + 1)]
    axes.bar(range(k + 1), shares, 0.72, color=colours)
    top = max(shares)
    axes.set_ylim(0, 1.3 * top)
    axes.set_xlim(-0.6, k + 0.6)
    for count, share in enumerate(shares):
        if k <= 10 and round(share, 3):
            note(axes, [percent(round(share, 3))], (count, share), (0, 5), ha="center", color=INK)
    axes.axvline(least - 0.5, color=INK, lw=1, dashes=(4, 3))
    text = ["nine queries in ten", f"find at least {least} of {k} (p10)"]
    offset, side = ((-8, -14), "right") if least > k / 2 else ((8, -14), "left")
    note(axes, text, (least - 0.5, 1.3 * top), offset, ha=side, color=INK)
    axes.set_title("share of queries")
    axes.set_xlabel(f"true neighbours that a query found, of {k}")
    axes.xaxis.set_major_locator(MaxNLocator(11, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    percents(axes.yaxis)
    return svg(axes, "spread", f"Neighbours that queries find: {' '.join(text)}")


def _distances(distances: dict[str, Any]) -> str:
    axes = new_axes(290)
    kinds = (
        ("neighbours", "five nearest", distances["median_neighbour"], QUERY),
        ("random", "random pairs", distances["median_random"], QUIET),
    )
    peak, end = 0.0, 0.1
    for kind, _, _, colour in kinds:
        edges, counts = distances[kind]["edges"], distances[kind]["counts"]
        total = max(1, sum(counts))
        density = [count / total / (to - at) for count, (at, to) in zip(counts, pairwise(edges), strict=True)]
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.35, lw=0)
        axes.stairs(density, edges, color=colour, lw=1.5)
        peak = max(peak, *density)
        end = max([end, *(to for to, count in zip(edges[1:], counts, strict=True) if count)])
    axes.set_xlim(0, 1.05 * end)
    axes.set_ylim(0, 1.45 * peak or 1)
    labels = [f"{who}: median {median:.2f}" for _, who, median, _ in kinds]
    # The line of the larger median is longer, so that it crosses no label.
    for (_, _, median, colour), label, high in zip(kinds, labels, (1.18, 1.36), strict=True):
        axes.plot([median, median], [0, high * peak], color=colour, lw=1.5)
        right = median > 0.45 * end
        side = {"ha": "right" if right else "left", "color": colour, "weight": "bold"}
        note(axes, [label], (median, high * peak), (-6 if right else 6, -8), **side)
    axes.set_title("share of pairs")
    axes.set_xlabel("Euclidean distance of unit vectors")
    axes.yaxis.set_major_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    return svg(axes, "distances", f"Distances of {labels[0]}; of {labels[1]}")


MEASURES = {
    "precision_at_1": "precision@1",
    "precision_at_5": "precision@5",
    "r_precision": "R-precision",
    "map_at_r": "MAP@R",
}


def _classes(semantics: dict[str, Any]) -> str:
    axes = new_axes(330, left=110, right=90)
    beside = axes.get_yaxis_transform()
    descriptions = []
    top = max(
        [semantics["chance"], *(semantics[who][key] for who in ("exact", "index") for key in MEASURES), 1e-9]
    )
    for row, (key, name) in enumerate(MEASURES.items()):
        exact, index = semantics["exact"][key], semantics["index"][key]
        for who, share, colour, down in (("exact", exact, OTHER, -0.2), ("index", index, QUERY, 0.2)):
            axes.barh(row + down, share, 0.34, color=colour)
            label = f"{percent(share)} {who}" if row == 0 else percent(share)
            note(axes, [label], (share, row + down), (6, -4), color=QUIET if who == "exact" else QUERY)
        ratio = percent(index / exact) if exact else "-"
        axes.text(1.2, row, ratio, color=INK, weight="bold", ha="right", va="center", transform=beside)
        descriptions.append(f"{name} {percent(exact)} exact, {percent(index)} by the index")
    axes.text(1.2, -0.72, "index / exact", ha="right", va="bottom", transform=beside)
    axes.set_xlim(0, 1.45 * top)
    axes.set_ylim(4.1, -0.6)
    axes.axvline(semantics["chance"], color=WRONG, lw=1, dashes=(4, 3))
    note(axes, [f"by chance {percent(semantics['chance'])}"], (semantics["chance"], 4.1), (6, 6), color=WRONG)
    axes.set_yticks(range(len(MEASURES)), list(MEASURES.values()))
    axes.set_xlabel("neighbours of the query's class")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    percents(axes.xaxis)
    axes.spines["left"].set_visible(False)
    return svg(axes, "classes", "; ".join(descriptions))


def _hubs(hubness: dict[str, Any]) -> str:
    counts = hubness["occurrences"]
    last = len(counts) - 1
    axes = new_axes(290)
    axes.bar(range(len(counts)), counts, 0.8, color=[WRONG, *[QUERY] * last])
    top = max(*counts, 1)
    axes.set_xlim(-0.8, last + 0.8)
    axes.set_ylim(0, 1.4 * top)
    never = f"{percent(hubness['never'])} never"
    axes.plot([0, 0], [counts[0], 1.32 * top], color=WRONG, lw=1, dashes=(4, 3))
    note(axes, [never], (0, 1.32 * top), (6, -6), color=WRONG, weight="bold")
    axes.plot([hubness["k"]] * 2, [0, 1.16 * top], color=INK, lw=1, dashes=(4, 3))
    note(axes, [f"on average {hubness['k']}"], (hubness["k"], 1.16 * top), (6, -6), color=INK)
    axes.set_title("pictures")
    axes.set_xlabel(f"how often a picture is among the {hubness['k']} nearest of another")
    step = max(1, round(last / 10))
    ticks = list(range(0, last - step // 2, step))
    more = "+" if hubness["most"] > last else ""
    axes.set_xticks([*ticks, last], [*map(str, ticks), f"{last}{more}"])
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return svg(
        axes, "hubs", f"How often pictures are named as a neighbour: {never}, most {hubness['most']} times"
    )
