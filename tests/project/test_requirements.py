"""The installed packages are the pinned ones, and none has overwritten another's files."""

from __future__ import annotations

import base64
import hashlib
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from jobs.store.root import PROJECT

EXTRAS = {
    "requirements.txt": None,
    "requirements-cluster.txt": "cluster",
    "requirements-dev.txt": "dev",
    "requirements-bench.txt": "bench",
}
"""Requirements file -> the extra of pyproject.toml with the same packages."""


def of_file(name: str) -> set[Requirement]:
    """The requirements in a file, and in the files it includes."""
    found: set[Requirement] = set()
    for line in (PROJECT / name).read_text().splitlines():
        if line.startswith("-r "):
            found |= of_file(line.removeprefix("-r ").strip())
        elif line and not line.startswith("#"):
            found.add(Requirement(line))
    return found


def of_pyproject(extra: str | None) -> set[Requirement]:
    """What an installation with ``extra`` requires, the extras that it includes too."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else []
    found = {Requirement(line) for line in project["dependencies"]}
    for requirement in map(Requirement, lines):
        if requirement.name == project["name"]:
            found = found.union(*map(of_pyproject, requirement.extras))
        else:
            found.add(requirement)
    return found


def test_pyspark_and_its_client_are_one_version() -> None:
    assert version("pyspark") == version("pyspark-client")


@pytest.mark.parametrize("package", ["pyspark", "pyspark-client"])
def test_no_file_of_pyspark_was_overwritten(package: str) -> None:
    """Both own site-packages/pyspark; pip check does not see when one spoils the other."""
    changed = []
    for file in distribution(package).files or []:
        if file.suffix != ".py" or file.hash is None or not file.as_posix().startswith("pyspark/"):
            continue
        digest = hashlib.new(file.hash.mode, Path(file.locate()).read_bytes()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            changed.append(str(file))
    assert not changed


def test_installed_packages_are_the_locked_ones() -> None:
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert {name: version(name) for name in pins} == pins
    locked = (PROJECT / "requirements.lock").read_text()
    assert all(f"\n{name}=={pin}" in locked for name, pin in pins.items())


def test_every_requirements_file_is_an_extra() -> None:
    assert {file.name for file in PROJECT.glob("requirements*.txt")} == set(EXTRAS)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == set(EXTRAS.values()) - {None}


@pytest.mark.parametrize("name", EXTRAS)
def test_pyproject_requires_what_the_requirements_files_do(name: str) -> None:
    extra = EXTRAS[name]
    files, pyproject = of_file(name), of_pyproject(extra)
    where = f"the extra {extra} of pyproject.toml" if extra else "the dependencies of pyproject.toml"
    only = {name: files - pyproject, where: pyproject - files}
    differences = [f"only in {place}: {line}" for place in only for line in sorted(map(str, only[place]))]
    message = [f"{name} and pyproject.toml differ, change the other one too:", *differences]
    assert not differences, "\n".join(message)
