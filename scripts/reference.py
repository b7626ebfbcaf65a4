"""Bring docs/reference.md up to date with the code: params, command lines and numbers of formats.

Run as ``python -m scripts.reference``. The generated parts are between ``<!-- name -->`` and
``<!-- /name -->``; the rest of that page is written by hand.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import NamedTuple

from jobs.base.options import BATCH_OPTIONS, HOUSEKEEPING_OPTIONS, INDEX_OPTIONS, QUERY_OPTIONS, Option
from jobs.store.root import PROJECT

DOC = PROJECT / "docs" / "reference.md"
WIDTH = 110

STEPS = (
    *("sources", "catalog", "changes", "embed", "vectors", "calibrate", "index", "neighbours", "gallery"),
    *("report", "publish", "query", "montage", "batch", "housekeeping", "find"),
)
"""The modules at the top of jobs/, in the order in which they run."""

KINDS = {bool: "yes or no", str: "text", int: "whole number", float: "number"}


class Format(NamedTuple):
    """Files of one format, and the constant that holds the format number."""

    files: Sequence[str]
    module: str
    constant: str
    written_in: str = "`format`"


FORMATS = (
    Format(["catalog/<hash>/catalog.parquet"], "jobs.store.catalog", "FORMAT", "the file's metadata"),
    Format(["embeddings/<fingerprint>/model.json"], "jobs.store.embeddings", "FORMAT"),
    Format(
        ["embeddings/<fingerprint>/shard-*.parquet"],
        "jobs.store.embeddings",
        "SHARD_FORMAT",
        "the file's metadata",
    ),
    Format(["embeddings/<fingerprint>/embeddings.csv.json"], "jobs.store.embeddings", "CSV_FORMAT"),
    Format(["vectors/<hash>/vectors.json"], "jobs.store.vectors", "FORMAT"),
    Format(
        ["calibrations/<hash>/choice.json", "calibrations/<hash>/checks/*.json"],
        "jobs.store.calibrations",
        "FORMAT",
    ),
    Format(
        ["calibrations/<hash>/moments.npz"],
        "jobs.store.calibrations",
        "MOMENTS_FORMAT",
        "the array `format`",
    ),
    Format(["index/<version>/manifest.json"], "jobs.store.manifest", "FORMAT"),
    Format(
        ["index/<version>/packed/packed.json", "index/<version>/sketch.npz"],
        "jobs.store.packed",
        "FORMAT",
        "`format`; the array `format`",
    ),
    Format(["index/<version>/gallery.db"], "jobs.store.gallery", "FORMAT", "`PRAGMA user_version`"),
    Format(["index/<version>/report.json"], "jobs.store.reports", "FORMAT"),
    Format(["index/<version>/published.json"], "jobs.store.manifest", "PUBLISHED_FORMAT"),
    Format(["index/settings.json"], "jobs.store.settings", "FORMAT"),
    Format(["queries/<run>/neighbours.json"], "jobs.store.answers", "FORMAT"),
    Format(["queries/<run>/batch.json"], "jobs.store.batches", "FORMAT"),
)


def params() -> str:
    """A table of each form, or one per section."""
    blocks = ["### Similarity index"]
    own = [option for option in INDEX_OPTIONS if option not in QUERY_OPTIONS]
    for section in dict.fromkeys(option.section for option in own):
        blocks += [f"**{section}**"] if section else []
        blocks += [_params(option for option in own if option.section == section)]
    blocks += ["It also has the params of *Similarity query*, which its own query at the end uses."]
    blocks += ["### Similarity query", _params(QUERY_OPTIONS)]
    blocks += ["### Similarity batch", _params(BATCH_OPTIONS)]
    blocks += ["### Housekeeping", _params(HOUSEKEEPING_OPTIONS)]
    return "\n\n".join(blocks)


def _params(options: Iterable[Option]) -> str:
    rows = [
        (f"`{option.name}`", option.title, _default(option), _values(option), option.help)
        for option in options
    ]
    return table(("param", "in the form", "default", "values", "what it does"), rows)


def _default(option: Option) -> str:
    if option.default is None:
        return "empty"
    if option.kind is bool:
        return "yes" if option.default else "no"
    return f"`{option.default}`"


def _values(option: Option) -> str:
    if option.choices:
        return "; ".join(_choice(value, shown) for value, shown in option.choices.items())
    low, high = option.minimum, option.maximum
    kind = KINDS[option.kind]
    if low is None:
        return kind
    if option.exclusive:
        return f"{kind} above {low}" + ("" if high is None else f" and below {high}")
    return f"{kind}, " + (f"{low} or more" if high is None else f"{low} to {high:,}")


def _choice(value: str, shown: str) -> str:
    meaning = shown.removeprefix(f"{value}: ")
    return f"`{value}`" if meaning == value else f"`{value}` ({meaning})"


def formats() -> str:
    """A table with one row per format."""
    rows = [
        (", ".join(f"`{file}`" for file in form.files), str(number_of(form)), form.written_in, _defined(form))
        for form in FORMATS
    ]
    return table(("file", "number", "written in", "defined in"), rows)


def number_of(form: Format) -> int:
    number: int = getattr(import_module(form.module), form.constant)
    return number


def _defined(form: Format) -> str:
    file = form.module.replace(".", "/") + ".py"
    return f"[`{file}`](../{file}): `{form.constant}`"


def commands() -> str:
    """The usage of every step, from its ``--help``."""
    return "\n".join(["```text", *("\n".join(_wrapped(usage(step))) for step in STEPS), "```"])


def usage(step: str) -> list[str]:
    """The command of a step and each of its options, without those that all steps have."""
    shown = io.StringIO()
    with redirect_stdout(shown), suppress(SystemExit):
        import_module(f"jobs.{step}").main(["--help"])
    text = " ".join(shown.getvalue().partition("\n\n")[0].split())
    command, *options = re.split(r" (?=\[-|--)", text.removeprefix("usage: "))
    return [command, *(option for option in options if option not in ("[-h]", "[--result RESULT]"))]


def _wrapped(words: list[str]) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append("   ")
        lines[-1] += f" {word}"
    return lines


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


SECTIONS: dict[str, Callable[[], str]] = {"params": params, "commands": commands, "formats": formats}


def updated(text: str) -> str:
    """The page with its generated parts up to date."""
    for name, render in SECTIONS.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, marked, rest = text.partition(start)
        _, ended, after = rest.partition(end)
        if not (marked and ended):
            raise ValueError(f"{DOC} lacks {start} or {end} after it")
        text = f"{before}{start}\n\n{render()}\n\n{end}{after}"
    return text


def main() -> int:
    before = DOC.read_text(encoding="utf-8")
    after = updated(before)
    DOC.write_text(after, encoding="utf-8")
    print(f"{DOC} {'was up to date' if after == before else 'has been updated'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
