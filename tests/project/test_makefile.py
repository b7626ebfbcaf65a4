"""The Makefile in a checkout whose path make and the shell would split, expand or take for a pattern."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.store.root import PROJECT

ODD = """lab 5 (1) [ö'x] "q" {é} 漢 & ; * #"""
SHOW = """
import json, os, sys
names = ("AIRFLOW_HOME", "LOOKALIKE_DATA", "AIRFLOW__CORE__DAGS_FOLDER", "PYTHONPATH")
print(json.dumps({"python": sys.executable, **{name: os.environ[name] for name in names}}))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile with what it needs, and files beside the checkout that a split path would name."""
    checkout = tmp_path / ODD / "lookalike"
    for folder in ("dags", "jobs/store", "plugins", "service", "tests", "scripts", "benchmarks"):
        (checkout / folder).mkdir(parents=True)
    for file in ("Makefile", "scripts/preflight.sh", "jobs/store/root.py"):
        shutil.copy(PROJECT / file, checkout / file)
    (checkout / "requirements.lock").touch()
    (checkout / "scripts" / "demo.py").write_text(SHOW)
    for name in ("lab", "5", "(1)", "[ö'x]"):
        (tmp_path / name / "lookalike" / ".venv").mkdir(parents=True)
        (tmp_path / name / "file").touch()
    return checkout


def make(checkout: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # MAKE...: the tests may themselves be run by make, which then speaks of its folders.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "LOOK", "MAKE"))
    }
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=cwd or checkout,
        env=environment,
        capture_output=True,
        text=True,
    )


def others(checkout: Path) -> set[Path]:
    """Everything beside the checkout."""
    return {path for path in checkout.parents[1].rglob("*") if checkout not in (path, *path.parents)}


@pytest.mark.slow  # it makes a virtual environment
def test_set_up_and_run_stay_in_the_checkout(checkout: Path) -> None:
    before = others(checkout)
    done = make(checkout, "demo")
    assert done.returncode == 0, done.stderr
    assert others(checkout) == before
    assert (checkout / ".venv" / ".run").is_file()
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "python": str(checkout / ".venv/bin/python"),
        "AIRFLOW_HOME": str(checkout / ".airflow"),
        "LOOKALIKE_DATA": str(checkout / "data"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(checkout / "dags"),
        "PYTHONPATH": str(checkout),
    }


def test_clean_removes_nothing_outside_and_no_data(checkout: Path) -> None:
    data = checkout / "data" / "__pycache__" / "mine.jpg"
    for file in (data, *(checkout / name / "x" for name in (".venv", ".airflow", "jobs/__pycache__"))):
        file.parent.mkdir(parents=True)
        file.touch()
    before = others(checkout)
    done = make(checkout, "clean")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Kept: {checkout}/data\n"
    assert others(checkout) == before and data.exists()
    assert not any((checkout / name).exists() for name in (".venv", ".airflow", "jobs/__pycache__"))


def test_from_another_folder_it_refuses(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / ".venv").mkdir(parents=True)
    done = make(checkout, "-f", str(checkout / "Makefile"), "clean", cwd=elsewhere)
    assert done.returncode != 0 and "is not the checkout" in done.stderr
    assert (elsewhere / ".venv").is_dir()
