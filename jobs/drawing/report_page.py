"""Write the quality report of an index version as one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from jobs.base.text import name_of, percent, plain
from jobs.drawing.report_plots import plots
from jobs.drawing.svg import PALETTE

SIDE = 112
SMALL = 10_000
"""Among so many pictures, comparing all takes no longer than a few milliseconds."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def render(report: dict[str, Any], thumbnail: Callable[[str], bytes | None]) -> str:
    """Render ``report`` as a page without scripts and without external resources.

    ``thumbnail`` returns the JPEG bytes of the picture with an id, or None if there is none; the page
    then has a placeholder. Texts in ``report`` need not be trusted.
    """
    report = _plain(report)
    recall = report["recall"]

    @cache
    def source(id_: str) -> str | None:
        return _source(thumbnail(id_))

    def shown(picture: dict[str, Any]) -> dict[str, Any]:
        return {**picture, "name": name_of(picture), "source": source(picture["id"])}

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "percent": percent,
        "down": lambda share: percent(share, down=True),
        "count": lambda number: f"{number:,.0f}",
        "word": lambda number: NUMBERS[number] if number < len(NUMBERS) else f"{number:,}",
        "short": _short,
        "file": lambda path: Path(path).name,
        "shown": shown,
    }
    environment.filters |= filters
    return environment.get_template("report_page.html").render(
        report=report,
        recall=recall,
        exact=report["search"] == "exact",
        # The rule of jobs/publish.py.
        reached=recall["lower_bound"] >= recall["target"],
        plots=plots(report),
        light=PALETTE,
        made_with=_made_with(report),
        small=SMALL,
        side=SIDE,
    )


def _made_with(report: dict[str, Any]) -> list[tuple[str, str]]:
    model, lsh, recall = report["model"], report["lsh"], report["recall"]
    rows = [
        ("index", report["version"]),
        ("created", report["created"].replace("T", " ")),
        ("pictures", f"{report['images']:,}"),
        ("search", report["search"]),
        ("model", f"{model['title']}, {model['dimension']} values per picture"),
        ("weights", _short(Path(model["weights"]).name)),
        ("geometry", model["geometry"]),
        ("fingerprint", model["fingerprint"]),
        ("hash tables", f"{lsh['num_hash_tables']:,}"),
        ("bucket length", f"{lsh['bucket_length']:.6g}"),
        ("seed", str(lsh["seed"])),
        ("target recall", f"{percent(recall['target'])} of the {recall['k']} nearest"),
    ]
    if lsh["reduced_dimension"] is not None:
        rows.append(("dimensions hashed", f"{lsh['reduced_dimension']:,}"))
    if report.get("clipped") is not None:
        rows.append(("hashes clipped by packing", percent(report["clipped"])))
    return rows


def _plain(value: Any) -> Any:
    """``value`` with every text in it safe to show, at any depth."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _short(text: str, longest: int = 40) -> str:
    """At most ``longest`` characters of ``text``, cut in the middle, so that a file keeps its suffix."""
    return text if len(text) <= longest else f"{text[: longest - 16]}…{text[-15:]}"


def _source(jpeg: bytes | None) -> str | None:
    """A thumbnail as a data URL."""
    if jpeg is None:
        return None
    small = io.BytesIO()
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
        picture.thumbnail((SIDE, SIDE))
        picture.convert("RGB").save(small, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(small.getvalue()).decode("ascii")
