"""docs/reference.md says what the code does, and the README stays short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from dags.params import BATCH_PARAMS, HOUSEKEEPING_PARAMS, INDEX_PARAMS, QUERY_PARAMS
from jobs.base import options
from jobs.base.command import step_parser
from jobs.base.options import BATCH_OPTIONS, HOUSEKEEPING_OPTIONS, INDEX_OPTIONS, QUERY_OPTIONS, Option
from jobs.store.root import PROJECT
from scripts import reference

IN_TWO_STEPS = {"k": ["query", "batch"], "max_quarantined": ["catalog", "embed"]}
"""An index is asked for k, once or in a batch; catalog and embed both quarantine.
Any other has one step."""

OPTIONS = {value.name: value for value in vars(options).values() if isinstance(value, Option)}


@pytest.fixture(scope="module")
def taken() -> dict[str, list[Option]]:
    """Step -> the options of its command line."""
    found: dict[str, list[Option]] = {}
    for step in reference.STEPS:
        module, given = import_module(f"jobs.{step}"), list[Option]()

        def parser(prog: str, text: str | None, *own: Option, given: list[Option] = given) -> object:
            given.extend(own)
            return step_parser(prog, text, *own)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(module, "step_parser", parser)
            module.main(["--help"])
        found[step] = given
    return found


def constants(file: Path) -> Iterator[str]:
    """The names of numbers of formats that a module sets."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id.endswith("FORMAT"):
                    assert isinstance(node.value.value, int)
                    yield target.id


def test_reference_is_up_to_date() -> None:
    text = reference.DOC.read_text(encoding="utf-8")
    assert reference.updated(text) == text, "docs/reference.md is outdated: run python -m scripts.reference"


def test_outdated_reference_is_noticed() -> None:
    text = reference.DOC.read_text(encoding="utf-8")
    assert reference.updated(text.replace("`0.95`", "`0.9`")) == text
    with pytest.raises(ValueError, match="<!-- formats -->"):
        reference.updated(text.replace("<!-- formats -->", ""))


def test_every_format_number_is_listed() -> None:
    listed = {(one.module, one.constant) for one in reference.FORMATS}
    defined = {
        (".".join(file.relative_to(PROJECT).with_suffix("").parts), name)
        for file in (PROJECT / "jobs").rglob("*.py")
        for name in constants(file)
    }
    assert listed == defined, "the list in scripts/reference.py and the constants in jobs/ differ"


def test_every_step_is_listed() -> None:
    modules = {file.stem for file in (PROJECT / "jobs").glob("*.py")} - {"__init__"}
    assert sorted(reference.STEPS) == sorted(modules)


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        (INDEX_PARAMS, INDEX_OPTIONS),
        (QUERY_PARAMS, QUERY_OPTIONS),
        (BATCH_PARAMS, BATCH_OPTIONS),
        (HOUSEKEEPING_PARAMS, HOUSEKEEPING_OPTIONS),
    ],
    ids=["similarity_index", "similarity_query", "similarity_batch", "housekeeping"],
)
def test_params_of_a_dag_are_its_options(params: dict[str, object], shown: tuple[Option, ...]) -> None:
    assert list(params) == [option.name for option in shown]


def test_every_option_is_a_param_of_a_dag() -> None:
    assert OPTIONS.keys() == set().union(INDEX_PARAMS, QUERY_PARAMS, BATCH_PARAMS, HOUSEKEEPING_PARAMS)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_on_the_command_line_of_its_step(name: str, taken: dict[str, list[Option]]) -> None:
    steps = [step for step, given in taken.items() if OPTIONS[name] in given]
    assert steps == IN_TWO_STEPS[name] if name in IN_TWO_STEPS else len(steps) == 1
    for step in steps:
        assert any(f"--{name.replace('_', '-')} " in f"{word} " for word in reference.usage(step))


def test_the_readme_is_short() -> None:
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120, "README.md is for users: move what is longer to docs/reference.md"
