"""The command line of a step."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from jobs.base.errors import LookalikeError
from jobs.base.options import Option, check_option


class _Parser(argparse.ArgumentParser):
    """One whose errors are one sentence, as all others are."""

    def error(self, message: str) -> NoReturn:
        raise LookalikeError(f"{message}: see {self.prog} --help.")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and descriptions as they were written."""


def step_parser(prog: str, description: str | None, *options: Option) -> argparse.ArgumentParser:
    """A parser with ``options`` and ``--result``."""
    parser = _Parser(prog=prog, description=description, formatter_class=_Help)
    for option in options:
        add_option(parser, option)
    parser.add_argument("--result", type=Path, help="write what the step returns here, as JSON")
    return parser


def add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    # argparse would expand %.
    shown = option.help.replace("%", "%%")
    if option.choices:
        parser.add_argument(option.flag, choices=tuple(option.choices), default=option.default, help=shown)
    elif option.kind is bool:
        parser.add_argument(
            option.flag,
            type=_truth,
            nargs="?",
            const=True,
            default=option.default,
            help=shown,
            metavar="yes|no",
        )
    else:
        parser.add_argument(option.flag, type=_reader(option), default=option.default, help=shown)


def add_name(parser: argparse.ArgumentParser, flag: str, what: str, *pointers: str) -> None:
    """An option that names what the step works on; by default it is what the first of ``pointers`` names."""
    parser.add_argument(flag, default=pointers[0], help=f"{what}: a name, or {' or '.join(pointers)}")


def _truth(text: str) -> bool:
    """Airflow's templates render booleans as Python does."""
    known = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return known[text.lower()]


def _reader(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        # Airflow's templates render an empty param as None.
        if option.default is None and text in ("", "None"):
            return None
        value = option.kind(text)
        check_option(option, value)
        return value

    read.__name__ = option.kind.__name__  # argparse shows it if ``kind`` raises ValueError
    return read


def _write(file: Path, text: str) -> None:
    """Not in one step: it is read when the process has ended well, and may be a device or a link."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LookalikeError(f"{file} can't be written ({error.strerror}): give another file.") from error


def run_step(
    parser: argparse.ArgumentParser,
    step: Callable[[argparse.Namespace], object],
    argv: Sequence[str] | None,
    log_to: TextIO | None = None,
) -> int:
    """Run a step from the command line; a LookalikeError becomes one line and exit status 2.

    It logs to standard output, or to ``log_to`` where that is the step's own.

    What the step returns is written to ``--result``, for the task that started it, or its error:
    ``{"error": the sentence, "kind": the name of its class}``.
    """
    options = argparse.Namespace(result=None)
    try:
        options = parser.parse_args(argv)
        logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=log_to or sys.stdout)
        logging.getLogger("jobs").setLevel(logging.INFO)
        # Run as a script, the step's own logger is not below ``jobs``.
        logging.getLogger("__main__").setLevel(logging.INFO)
        result = step(options)
        if options.result:
            _write(options.result, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    except LookalikeError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        if options.result:
            with suppress(OSError):
                options.result.write_text(json.dumps({"error": str(error), "kind": type(error).__name__}))
        return 2
    return 0
