"""Paths that people name in forms lie below folders that may be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.base.errors import LookalikeError
from jobs.embedding.backbones import DEFAULT
from jobs.embedding.weights import find_weights
from jobs.intake.named import named_path
from jobs.sources import find_source
from jobs.store.root import DataRoot
from jobs.store.settings import write_settings


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataRoot:
    """Two folders and a data root whose inbox is a link; one folder has a link that leads out of it."""
    root = DataRoot(tmp_path / "data")
    for folder in ("home/photos", "mnt/cars", "elsewhere", "landing", "data/uploads"):
        (tmp_path / folder).mkdir(parents=True)
    root.inbox.symlink_to(tmp_path / "landing")
    (tmp_path / "home" / "out").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("LOOKALIKE_DATA", str(root.root))
    monkeypatch.setenv("LOOKALIKE_ROOTS", f"{tmp_path}/home:{tmp_path}/mnt")
    return root


@pytest.mark.parametrize(
    "path",
    ["home", "home/photos/a.jpg", "mnt/cars", "data/uploads/a.jpg", "data/inbox/a.jpg", "landing/a.jpg"],
)
def test_what_lies_below_them_may_be_named(root: DataRoot, tmp_path: Path, path: str) -> None:
    assert named_path(str(tmp_path / path)) == tmp_path / path


OUTSIDE = [
    "elsewhere",
    "home/out/a.jpg",
    "home/../elsewhere/a.jpg",
    "homes",
    ".",
    "/",
    "/etc/passwd",
    "/dev/zero",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_lies_elsewhere_is_refused_by_a_sentence(root: DataRoot, tmp_path: Path, path: str) -> None:
    named = str(tmp_path / path)
    for use in (
        lambda: named_path(named),
        lambda: find_weights(named, DEFAULT),
        lambda: find_source("folder", root, directory=named),
    ):
        with pytest.raises(
            LookalikeError, match=r"lies outside the folders that may be named .* LOOKALIKE_ROOTS"
        ):
            use()


def test_the_folder_whose_pictures_are_published_may_be_named(root: DataRoot, tmp_path: Path) -> None:
    write_settings(root, {"params": {"source": "folder", "folder": str(tmp_path / "elsewhere")}})
    assert named_path(str(tmp_path / "elsewhere" / "a.jpg"))
    with pytest.raises(LookalikeError):
        named_path(str(tmp_path / "other"))


def test_by_hand_every_path_may_be_named(
    root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOOKALIKE_ROOTS")
    assert named_path(str(tmp_path / "elsewhere"))
    with pytest.raises(LookalikeError, match="the whole machine"):
        find_source("folder", root, directory="/")


@pytest.mark.timeout(20)
def test_weights_are_a_file_of_bounded_size(tmp_path: Path) -> None:
    with (tmp_path / "large.pth").open("wb") as file:
        file.truncate(4_000_000_001)
    for path in ("/dev/zero", str(tmp_path), str(tmp_path / "large.pth")):
        with pytest.raises(LookalikeError, match="are not a file of at most 4 GB"):
            find_weights(path, DEFAULT)
