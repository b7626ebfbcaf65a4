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
        (options.LIMIT, 0, "limit is 0: give 1 to 1,000,000,000."),
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
    assert run_step(parser, vars, [given]) == 2
    error = capsys.readouterr().err
    assert given.partition("=")[0] in error
    assert error.startswith("error: ") and error.endswith(": see x --help.\n") and error.count("\n") == 1


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


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        (options.K, "5", "k is '5': give a whole number."),
        (options.K, 5.0, "k is 5.0: give a whole number."),
        (options.K, True, "k is True: give a whole number."),
        (options.K, None, "k is None: give a whole number."),
        (options.RECALL, "0.9", "recall is '0.9': give a number."),
        (options.RECALL, False, "recall is False: give a number."),
        (options.WITH_TEST, "yes", "with_test is 'yes': give true or false."),
        (options.WITH_TEST, 1, "with_test is 1: give true or false."),
        (options.QUERY, 7, "query is 7: give a text."),
        (options.QUERY, "", "query is empty: give a text."),
        (options.QUERY, "x" * 5000, "query has 5,000 characters: give at most 4,096."),
        (options.WEIGHTS, ["imagenet"], "weights is ['imagenet']: give a text."),
        (options.SEED, 2**64, f"seed is {2**64}: give 0 to 4,294,967,295."),
        (options.KEEP_DAYS, 10**400, f"keep_days is {10**400}: give 1 to 36,500."),
    ],
)
def test_a_value_of_the_wrong_type_or_size_is_one_sentence(option: Option, value: Any, sentence: str) -> None:
    """As settings that somebody edited, or a caller in Python, may give it."""
    with pytest.raises(LookalikeError) as caught:
        check_option(option, value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("given", [3, 3.0, 0.5])
def test_a_number_may_be_whole(given: float) -> None:
    check_option(options.BUCKET_LENGTH, given)


def returns_three(given: argparse.Namespace) -> int:
    return 3


def test_a_result_is_written_where_it_was_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = step_parser("x", None)
    (tmp_path / "target.json").write_text("before")
    (tmp_path / "link").symlink_to("target.json")
    assert run_step(parser, returns_three, [f"--result={tmp_path / 'link'}"]) == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target.json").read_text() == "3\n"
    assert run_step(parser, returns_three, ["--result=/dev/null"]) == 0
    for place in (tmp_path, tmp_path / "none" / "r.json", tmp_path / "target.json" / "r.json"):
        assert run_step(parser, returns_three, [f"--result={place}"]) == 2
        assert capsys.readouterr().err.startswith(f"error: {place} can't be written (")
    assert not (tmp_path / "none").exists()


def test_help_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_step(step_parser("x", None, options.K, options.RECALL), returns_three, ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "How many look-alikes to find. (default: 5)" in shown and "(default: 0.95)" in shown


def test_a_failed_step_leaves_its_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def step(given: argparse.Namespace) -> None:
        raise LookalikeError("No cat is a dog: choose another.")

    result = tmp_path / "result.json"
    assert run_step(step_parser("x", None), step, [f"--result={result}"]) == 2
    assert capsys.readouterr().err == "error: No cat is a dog: choose another.\n"
    said = {"error": "No cat is a dog: choose another.", "kind": "LookalikeError"}
    assert json.loads(result.read_text()) == said
