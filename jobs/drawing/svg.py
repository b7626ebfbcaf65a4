"""Axes that are written as SVG, with the colours and fonts of the page around it."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from jobs.base.text import percent
from jobs.drawing.palette import CARD, GROUND, INK, OTHER, QUERY, QUIET, SAME, WRONG

WIDTH = 620
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 48
"""Margins, wide enough for the larger letters that the page sets on narrow screens."""
LINE = 18
PALETTE = {
    "ground": GROUND,
    "card": CARD,
    "ink": INK,
    "quiet": QUIET,
    "query": QUERY,
    "same": SAME,
    "other": OTHER,
    "wrong": WRONG,
}
"""The page's variables and their values in light mode."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lookalike",
    "font.size": 13,
    "text.color": QUIET,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": OTHER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "axes.titlecolor": QUIET,
    "axes.titlelocation": "left",
    "axes.titlepad": 14,
    "axes.labelpad": 8,
    "xtick.color": OTHER,
    "ytick.color": OTHER,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
}


def new_axes(height: int, left: int = LEFT, right: int = RIGHT) -> Axes:
    """Axes of a figure ``WIDTH`` wide, with margins in its units."""
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    box = (left / WIDTH, BOTTOM / height, 1 - (left + right) / WIDTH, 1 - (TOP + BOTTOM) / height)
    axes: Axes = figure.add_axes(box)
    axes.tick_params(length=0, pad=6)
    return axes


def svg(axes: Axes, name: str, label: str) -> str:
    """``axes`` as an ``<svg>`` for a page: colours are the page's variables, ids are unique to the plot."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    buffer = io.StringIO()
    omitted = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=omitted)
    inside = re.sub(
        r"\A.*?<svg[^>]*>|<(style|metadata).*?</\1>|<!--.*?-->", "", buffer.getvalue(), flags=re.S
    )
    # Every plot has a figure_1 and a clip path named by a hash of the same box; in one page ids must differ.
    inside = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", inside).replace("xlink:href", "href")
    for variable, colour in PALETTE.items():
        inside = inside.replace(colour, f"var(--{variable})")
    height = round(figure.get_figheight() * 72)
    opening = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(label)}">'
    return opening + inside.strip()


def percents(axis: Axis) -> None:
    """Label ticks in percent, except above 100 %, where there is room for notes."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: percent(share) if share < 1.001 else ""))


def note(
    axes: Axes, lines: Sequence[str], point: tuple[float, float], offset: tuple[float, float], **more: Any
) -> None:
    """Write ``lines`` beside ``point``, each as its own text, because SVG can align only single lines."""
    for number, line in enumerate(lines):
        shifted = (offset[0], offset[1] - LINE * number)
        axes.annotate(line, point, shifted, textcoords="offset points", **more)
