"""An answer as lines of text."""

from __future__ import annotations

import textwrap
from pathlib import Path

from jobs.base.text import name_of, plain
from jobs.store.answers import Answer, Caption


def same_class(answer: Answer, picture: Caption) -> bool:
    return picture["label"] is not None and picture["label"] == answer["query"]["label"]


def table(answer: Answer) -> list[str]:
    """The query picture, and below it rank, distance, same class, name and file of each neighbour."""
    query = answer["query"]
    names = [plain(name_of(picture)) for picture in answer["neighbours"]]
    wide = min(48, max([len(name) for name in names] + [10]))
    lines = [f"query     {plain(name_of(query))}  ({plain(Path(query['path']).name)})"]
    lines.append(f"{'rank':>4}  {'distance':>8}  {'':4}  {'class':<{wide}}  file")
    for picture, name in zip(answer["neighbours"], names, strict=True):
        same = "same" if same_class(answer, picture) else ""
        short = textwrap.shorten(name, wide, placeholder="…")
        lines.append(
            f"{picture['rank']:>4}  {picture['distance']:>8.4f}  {same:<4}  {short:<{wide}}  "
            f"{plain(Path(picture['path']).name)}"
        )
    if answer["note"]:
        lines.append(answer["note"])
    return lines
