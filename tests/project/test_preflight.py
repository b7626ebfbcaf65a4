"""What a machine lacks is said in one line before anything is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.store.root import PROJECT


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH of its own, with a shell and no Java."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "env", "head", "sed"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return folder


def program(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    (tools / name).chmod(0o755)


def check(
    tools: Path, python: str = sys.executable, checkout: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    environment |= {"PATH": str(tools), "PYTHON": python}
    return subprocess.run(
        [str(PROJECT / "scripts" / "preflight.sh")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=checkout,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode != 0
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr


JAVA = "echo 'openjdk version \"{}\" 2025-04-15' >&2"


def test_a_machine_as_tested_passes_in_silence(tools: Path) -> None:
    program(tools, "java", JAVA.format("17.0.15"))
    done = check(tools)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_may_work_but_was_not_tested_passes_with_a_note(tools: Path) -> None:
    program(tools, "java", JAVA.format("21.0.4"))
    newer = '[ "$1" = --version ] && echo Python 3.12.1; [[ "$*" != *"!= (3, 11)"* ]]'
    program(tools, "python3.12", newer)
    done = check(tools, "python3.12")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "note: Python 3.12.1 may work, but only Python 3.11 is tested.",
        "note: Java 21 may work, but only Java 17 is tested.",
    ]


@pytest.mark.parametrize("name", ["a:b", "50%", "what?", "$HOME"])
def test_a_checkout_whose_path_airflow_or_python_would_misread(
    tools: Path, tmp_path: Path, name: str
) -> None:
    program(tools, "java", JAVA.format("17.0.15"))
    (tmp_path / name).mkdir()
    assert_one_line(check(tools, checkout=tmp_path / name), "the path of this checkout has one of")


def test_missing_java(tools: Path) -> None:
    assert_one_line(check(tools), "install Java 17")


def test_java_that_is_too_old(tools: Path) -> None:
    program(tools, "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    assert_one_line(check(tools), "Java 11 does not work with Spark")


def test_missing_python(tools: Path) -> None:
    assert_one_line(check(tools, "no-such-python"), "no-such-python is not installed")


def test_python_that_is_too_old(tools: Path) -> None:
    program(tools, "python3.9", '[ "$1" = --version ] && echo Python 3.9.1; [ "$1" = --version ]')
    assert_one_line(check(tools, "python3.9"), "Python 3.9.1 is not supported")
