"""Options stand once: forms, command lines and steps refuse the same values in the same sentence."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.base import options
from jobs.base.command import add_name, run_step, step_parser
from jobs.base.errors import LookalikeError
from jobs.base.options import Option, check_option

ALL = {option.name: option for option in (*options.INDEX_OPTIONS, *options.HOUSEKEEPING_OPTIONS)}


@pytest.mark.parametrize("option", ALL.values(), ids=ALL)
def test_every_default_is_allowed_and_every_option_explained(option: Option) -> None:
    check_option(option, option.default)
    assert option.title and option.help.endswith(".")
    assert option.default is None or isinstance(option.default, option.kind)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        (options.K, 0, "k is 0: give 1 to 100."),
        (options.K, 101, "k is 101: give 1 to 100."),
        (options.LIMIT, 0, "limit is 0: give 1 or more."),
        (options.RECALL, 1.0, "recall is 1.0: give a number above 0 and below 1."),
        (options.RECALL, float("nan"), "recall is nan: give a number above 0 and below 1."),
        (options.BUCKET_LENGTH, 0.0, "bucket_length is 0.0: give a number above 0."),
        (options.BUCKET_LENGTH, float("inf"), "bucket_length is inf: give a number above 0."),
        (options.MAX_QUARANTINED, -0.1, "max_quarantined is -0.1: give 0 to 1."),
        (options.METHOD, "best", "method is 'best': choose one of sketch, exact, stock."),
    ],
)
def test_what_is_not_allowed_is_one_sentence(
    option: Option, value: Any, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LookalikeError) as caught:
        check_option(option, value)
    assert str(caught.value) == sentence
    if option.choices is None:  # argparse itself refuses those
        assert run_step(step_parser("x", None, option), vars, [f"{option.flag}={value}"]) == 2
        assert capsys.readouterr().err == f"error: {sentence}\n"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], {"k": 5, "limit": None, "with_test": False, "source": "sample", "bucket_length": None}),
        # As Airflow's templates write them.
        (["--limit=None", "--with-test=False", "--bucket-length="], {"limit": None, "with_test": False}),
        (["--limit=7", "--with-test", "--source=inbox"], {"limit": 7, "with_test": True, "source": "inbox"}),
        (["--with-test=yes", "--bucket-length=0.5"], {"with_test": True, "bucket_length": 0.5}),
    ],
)
def test_a_command_line_reads_what_a_form_gives(given: list[str], read: dict[str, Any]) -> None:
    parser = step_parser(
        "x",
        None,
        options.K,
        options.LIMIT,
        options.WITH_TEST,
        options.SOURCE,
        options.BUCKET_LENGTH,
    )
    parsed = vars(parser.parse_args(given))
    assert {name: parsed[name] for name in read} == read


@pytest.mark.parametrize("given", ["--k=many", "--source=web", "--with-test=perhaps", "--unknown=1"])
def test_a_value_of_the_wrong_type_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = step_parser("x", None, options.K, options.SOURCE, options.WITH_TEST)
    with pytest.raises(SystemExit) as ended:
        run_step(parser, vars, [given])
    assert ended.value.code == 2
    assert given.partition("=")[0] in capsys.readouterr().err


def test_a_step_returns_its_result_to_airflow(tmp_path: Path) -> None:
    parser = step_parser("x", None)
    add_name(parser, "--vectors", "the vectors", "current")

    def step(given: argparse.Namespace) -> dict[str, str]:
        return {"vectors": given.vectors}

    result = tmp_path / "result.json"
    assert run_step(parser, step, [f"--result={result}"]) == 0
    assert json.loads(result.read_text()) == {"vectors": "current"}
    assert run_step(parser, step, ["--vectors=abc", f"--result={result}"]) == 0
    assert json.loads(result.read_text()) == {"vectors": "abc"}


def test_a_failed_step_returns_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def step(given: argparse.Namespace) -> None:
        raise LookalikeError("No cat is a dog: choose another.")

    result = tmp_path / "result.json"
    assert run_step(step_parser("x", None), step, [f"--result={result}"]) == 2
    assert capsys.readouterr().err == "error: No cat is a dog: choose another.\n"
    assert not result.exists()
