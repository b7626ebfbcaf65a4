"""A data root that release 0.1 left: what has changed is made again or a sentence, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.base.errors import LookalikeError
from jobs.calibrate import calibrate_vectors
from jobs.catalog import build_catalog
from jobs.changes import Changes, find_changes
from jobs.embed import embed_catalog
from jobs.embedding.backbones import RESNET18
from jobs.embedding.model import Model
from jobs.embedding.weights import Weights
from jobs.gallery import lay_out_gallery
from jobs.housekeeping import housekeep
from jobs.index import LshParams, build_index
from jobs.intake.folder import folder
from jobs.neighbours import store_neighbours
from jobs.publish import publish
from jobs.report import write_report
from jobs.store.answers import read_answer
from jobs.store.catalog import read_catalog
from jobs.store.gallery import open_gallery
from jobs.store.root import DataRoot, resized_file
from jobs.store.settings import published_settings
from jobs.store.versions import Index, open_index
from jobs.vectors import assemble_vectors

HERE = Path(__file__).parent / "release-0.1"
PICTURES = 6
RUN = "manual__2026-11-01T00:00:00+00:00"
VERSION = "cdd9e98b86472d31"
FORMER = "eb78df12888a6d30"
"""The fingerprint of its model: pictures were decoded in another way, so all are embedded again, once."""
FINGERPRINT = "62e9168482ae708a"
"""Of ResNet-18 with ImageNet's weights, squash, fp32: another one embeds everybody's pictures again."""
MODEL = Model(RESNET18, Weights("random", None, "0" * 64))


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(Path(shutil.copytree(HERE / "root", tmp_path / "data")))


def take_in(root: DataRoot) -> dict[str, Any]:
    build_catalog(folder(HERE / "pictures"), root)
    return embed_catalog(root, MODEL)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in (".parquet", ".csv")}


def test_the_fingerprint_of_the_default_model_stays() -> None:
    assert RESNET18.imagenet
    imagenet = Weights("imagenet", None, RESNET18.imagenet.sha256)
    assert Model(RESNET18, imagenet).fingerprint == FINGERPRINT


def test_pictures_are_embedded_again_and_what_there_was_is_kept(root: DataRoot) -> None:
    former, copies = root.embeddings / FORMER, root.resized / "squash"
    before = contents(former), sorted(copies.rglob("*.jpg"))
    assert len(before[0]) == 2 and len(before[1]) == PICTURES  # a shard and the CSV
    assert take_in(root)["embedded"] == PICTURES
    assert (contents(former), sorted(copies.rglob("*.jpg"))) == before
    for row in read_catalog(root):
        assert resized_file(root, MODEL.resized, row["id"]).is_file()


@pytest.mark.parametrize(
    ("read", "sentence"),
    [
        (
            open_index,
            "manifest.json has format 1, but this release reads format 2: run the DAG similarity_index",
        ),
        (published_settings, "settings.json has format 1, .*: trigger the DAG similarity_index once"),
        (lambda root: read_answer(root.query_folder(RUN)), "neighbours.json has format 1, .*: run the query"),
        (lambda root: open_gallery(Index(root.index / VERSION)).__enter__(), "gallery.db has format 1"),
        (read_catalog, "catalog names nothing as current: run the step catalog first"),
    ],
    ids=["manifest", "settings", "answer", "gallery", "catalog"],
)
def test_what_has_another_shape_now_is_one_sentence(
    root: DataRoot, read: Callable[[DataRoot], object], sentence: str
) -> None:
    with pytest.raises(LookalikeError, match=sentence):
        read(root)


def test_housekeeping_leaves_what_was_published(root: DataRoot) -> None:
    assert housekeep(root)["versions"] == 0
    assert (root.index / VERSION / "manifest.json").is_file()
    published = Index(root.index / VERSION).published()
    assert published and published["run"] == RUN


def test_one_run_updates_the_reference(root: DataRoot, spark: object) -> None:
    embedded = take_in(root)
    assert find_changes(root, MODEL.fingerprint) == Changes(None, PICTURES, 0, 0)
    vectors = assemble_vectors(root, MODEL.fingerprint, catalog=embedded["catalog"])
    calibration = calibrate_vectors(root, vectors=vectors.name)
    index = build_index(root, LshParams(), vectors=vectors.name, calibration=calibration.name)
    for step in (store_neighbours, lay_out_gallery, write_report, publish):
        step(root, index.version)
    assert open_index(root) == index
    assert not find_changes(root, MODEL.fingerprint).anything
