"""The option that runs some sections of a benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def add_only(parser: argparse.ArgumentParser, sections: Sequence[str]) -> None:
    """Let ``--only`` name some of ``sections``, separated by commas; the default is all."""

    def chosen(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(sections):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return text.split(",")

    parser.add_argument(
        "--only", type=chosen, default=sections, help=f"some of {','.join(sections)}; default: all"
    )
