"""The installed packages are the pinned ones, and none has overwritten another's files."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from jobs.store.root import PROJECT


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
